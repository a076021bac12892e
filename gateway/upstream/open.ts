// The way out, composed: resolve, classify, dial, TLS, confirm. Each stage is a file of its own with its own codes;
// here is their order, the one budget over all of them, and the promise that a failure leaves nothing open.
import type { Socket } from 'node:net'
import { dialInTurn } from './attempts.ts'
import { type Budget, openBudget, within } from './budget.ts'
import { confirm, confirmWaitMs, needsConfirmation } from './confirm.ts'
import { localAddresses } from './local-names.ts'
import { createTlsMemory, originate, type TlsMemory } from './originate.ts'
import { permit } from './permit.ts'
import { createProgress, type Progress } from './progress.ts'
import { resetSocket } from './sockets.ts'
import { alertOf, lateCode } from './tls-failures.ts'
import {
  type Dial,
  type OpenUpstream,
  type Resolve,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamRequest,
} from './types.ts'

export interface OpenUpstreamOptions {
  readonly resolve: Resolve
  readonly dial: Dial
  /** Monotonic, in milliseconds; default `performance`. */
  readonly clock?: { now(): number }
  /** Sessions to resume and the like; default: a memory of its own. */
  readonly tlsMemory?: TlsMemory
}

type Opened = Pick<UpstreamConnection, 'stream' | 'judgeLateError'>

const NEVER_ASKED = { asked: false, presented: false }

/**
 * The returned function must be called only after the decision was allow: it asks DNS and dials. It rejects with an
 * UpstreamError alone, which holds what was reached. Everything together takes at most `connect.timeoutMs`.
 *
 * What it resolves to belongs to the caller at once: `stream` is paused, may hold early data, and may already have
 * ended (`readableEnded`) or failed (`errored`) when the caller comes to listen.
 */
export function createOpenUpstream(options: OpenUpstreamOptions): OpenUpstream {
  const { resolve, dial, clock = performance, tlsMemory = createTlsMemory() } = options
  const now = (): number => clock.now()
  return async (request) => {
    const { destination, host, port } = request
    const progress = createProgress(now)
    using budget = openBudget(destination.connect.timeoutMs, request.signal, now)
    let raw: Socket | null = null
    try {
      const found = await progress.timed('resolveMs', () => addressesOf(host, resolve, budget.signal))
      const addresses = permit(found, destination)
      const { attempts } = destination.connect
      raw = await progress.timed('connectMs', () =>
        dialInTurn({ addresses, port, attempts, dial, budget, now, progress }),
      )
      const opened = await openStream(raw, request, progress, budget, now, tlsMemory)
      opened.stream.pause()
      return { raw, facts: progress.facts, timings: progress.timings, ...opened }
    } catch (error) {
      if (raw !== null) resetSocket(raw)
      throw withProgress(error, progress)
    }
  }
}

async function addressesOf(host: string, resolve: Resolve, signal: AbortSignal): Promise<readonly string[]> {
  return localAddresses(host) ?? within(signal, 'dns-timeout', (inner) => resolve(host, inner))
}

async function openStream(
  raw: Socket,
  request: UpstreamRequest,
  progress: Progress,
  budget: Budget,
  now: () => number,
  tlsMemory: TlsMemory,
): Promise<Opened> {
  if (request.destination.tls !== 'originate') {
    if (request.serverName !== null) {
      progress.facts.serverName = request.serverName
      progress.facts.nameProof = 'client-hello'
    }
    return { stream: raw, judgeLateError: (error) => lateCode(error, NEVER_ASKED) }
  }
  return progress.timed('tlsMs', async () => {
    const start = now()
    const connection = await originate(raw, request, progress.facts, budget.signal, tlsMemory)
    if (needsConfirmation(connection.watch)) {
      const { confirmMs } = request.destination.connect
      const waitMs = confirmWaitMs(confirmMs, now() - start, budget.remainingMs())
      await confirm(connection, waitMs, budget.signal)
    }
    const { socket, resumption } = connection
    resumption.confirmed()
    const judgeLateError = (error: Error) => {
      // A refusal that came late: what the server gave us to resume is worth nothing.
      if (alertOf(error) !== null) resumption.failed()
      return lateCode(error, connection)
    }
    return { stream: socket, judgeLateError }
  })
}

function withProgress(error: unknown, { facts, timings }: Progress): UpstreamError {
  if (error instanceof UpstreamError) {
    const { code, message, cause, hint } = error
    return new UpstreamError(code, message, { cause, hint, facts, timings })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new UpstreamError('session-internal-error', message, { cause: error, facts, timings })
}
