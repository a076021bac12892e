// A part of the live sessions: those of one listener, which can be ended without the others.
import type { ReasonCode } from '../audit/reasons.ts'
import type { LiveSession } from './live-session.ts'
import type { SessionRegistry } from './registry.ts'

export interface SessionScope extends Pick<SessionRegistry, 'add' | 'delete'> {
  closeAll(code: ReasonCode): void
}

/** Every session in it is in `registry` too. */
export function createScope(registry: SessionRegistry): SessionScope {
  const live = new Map<string, LiveSession>()
  return {
    add(session) {
      live.set(session.id, session)
      registry.add(session)
    },
    delete(id) {
      live.delete(id)
      registry.delete(id)
    },
    closeAll(code) {
      for (const session of [...live.values()]) session.close(code)
    },
  }
}
