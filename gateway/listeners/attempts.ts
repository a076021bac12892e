// Joins a listener to the sessions behind it: every connection and request that it reports becomes an attempt with exactly
// one closing record, or a counted probe.
import type { AttemptFacts } from '../audit/events.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import { beginAttempt, describeCaller, runSession, type SessionDependencies } from '../sessions/session.ts'
import type { ArrivalFailure } from './arrival/arrival.ts'
import type { ClientConnection, RequestHandler } from './connection.ts'
import type { PassthroughHandler } from './passthrough.ts'

const NO_BYTES = { sent: 0, received: 0 }

interface Joined {
  readonly handler: RequestHandler
  readonly passthrough: PassthroughHandler
  readonly onFailure: (failure: ArrivalFailure) => void
  readonly onSecured: () => void
  readonly onProbe: () => void
  readonly onCount: (change: 1 | -1) => void
}

/** The callbacks that `startListener` takes. */
export function createAttempts(deps: SessionDependencies): Joined {
  const { audit, metrics, listener } = deps
  const record = (facts: AttemptFacts, code: ReasonCode, by: 'client' | 'gateway', detail: string | null) => {
    audit.closed(facts, { code, by, detail }, NO_BYTES)
    metrics.attempt(listener, code, NO_BYTES)
  }
  return {
    onSecured: () => metrics.handshake(listener, 'ok'),
    onProbe: () => metrics.probe(listener),
    onCount: (change) => metrics.connectionsOpen(listener, change),
    onFailure({ id, source, acceptedAt, code, detail }) {
      const by = isOurs(code) ? 'gateway' : 'client'
      if (by === 'client') metrics.handshake(listener, 'failed')
      const facts = beginAttempt(deps, { id, source, handshakeMs: null })
      record({ ...facts, openedAt: acceptedAt }, code, by, detail)
    },
    passthrough: {
      tunnel: (connection, tunnel) => void runSession(deps, connection, tunnel),
      refused(connection, { acceptedAt }, code, detail) {
        record({ ...beginAttempt(deps, connection), openedAt: acceptedAt }, code, 'gateway', detail)
      },
    },
    handler: {
      tunnel: (connection, tunnel) => void runSession(deps, connection, tunnel),
      refusedRequest(connection, requestCode, requestDetail) {
        const { facts, refusal } = identified(deps, connection)
        const code = refusal?.code ?? requestCode
        record(facts, code, 'gateway', refusal === null ? requestDetail : refusal.detail)
        return { id: facts.id, code }
      },
      noRequest(connection, code, detail) {
        const { facts, refusal } = identified(deps, connection)
        const by = refusal !== null || isOurs(code) ? 'gateway' : 'client'
        record(facts, refusal?.code ?? code, by, refusal?.detail ?? detail)
      },
    },
  }
}

/** Whether it is no word about the client. */
function isOurs(code: ReasonCode): boolean {
  return /^(?:limit|session)-/.test(code)
}

/** The facts of a connection that brought no usable request, with its identity or what is wrong with it. */
function identified(deps: SessionDependencies, connection: ClientConnection) {
  const facts = beginAttempt(deps, connection)
  const identity = connection.identity()
  if (identity.ok) describeCaller(facts, identity)
  // Tokens come with requests, and here is none that could be read: whether one was shown, nobody can say.
  const refused = !identity.ok && identity.code !== 'client-token-missing'
  return { facts, refusal: refused ? identity : null }
}
