// The way out, composed: resolve, classify, dial, TLS, confirm. Each stage is a file of its own with its own codes;
// here is their order, the one budget over all of them, and the promise that a failure leaves nothing open.
import type { Socket } from 'node:net'
import { dialRacing } from './attempts.ts'
import { type Budget, openBudget, within } from './budget.ts'
import { confirm, confirmWaitMs, needsConfirmation } from './confirm.ts'
import { createEndpoints, type Endpoints } from './endpoints.ts'
import { localAddresses } from './local-names.ts'
import { originate } from './originate.ts'
import { permit } from './permit.ts'
import { createProgress, type Progress } from './progress.ts'
import { resetSocket } from './sockets.ts'
import { lateCode } from './tls-failures.ts'
import {
  type AttemptResult,
  type Dial,
  type OpenUpstream,
  type Resolution,
  type Resolve,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamRequest,
} from './types.ts'

export interface OpenUpstreamOptions {
  readonly resolve: Resolve
  readonly dial: Dial
  /** What is remembered of endpoints; default: a memory of its own. */
  readonly endpoints?: Endpoints
  readonly onAttempt?: (result: AttemptResult) => void
  /** Monotonic, in milliseconds; default `performance`. */
  readonly clock?: { now(): number }
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
  const { resolve, dial, clock = performance, onAttempt = () => {} } = options
  const now = (): number => clock.now()
  const endpoints = options.endpoints ?? createEndpoints({ now, random: Math.random })
  return async (request) => {
    const { destination, host, port } = request
    const progress = createProgress(now)
    using budget = openBudget(destination.connect.timeoutMs, request.signal, now)
    let raw: Socket | null = null
    try {
      const addresses = await addressesFor(request, resolve, progress, budget.signal)
      const { attempts } = destination.connect
      raw = await progress.timed('connectMs', () =>
        dialRacing({
          addresses: endpoints.order(host, port, addresses),
          ...{ port, attempts, dial, budget, now, progress, endpoints, onAttempt },
        }),
      )
      const opened = await openStream(raw, request, progress, budget, now)
      opened.stream.pause()
      const { facts, timings, trace } = progress
      return { raw, facts, timings, trace, ...opened }
    } catch (error) {
      if (raw !== null) resetSocket(raw)
      throw withProgress(error, progress)
    }
  }
}

/** The permitted ones, judged anew each time: what a cache holds was judged for another session, or before a change. */
async function addressesFor(
  { host, destination }: UpstreamRequest,
  resolve: Resolve,
  progress: Progress,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { trace } = progress
  const note = (resolution: Resolution): void => {
    trace.resolution = { source: resolution.source, ttlMs: resolution.ttlMs }
  }
  trace.found = await progress.timed(
    'resolveMs',
    async () => localAddresses(host) ?? within(signal, 'dns-timeout', (inner) => resolve(host, inner, note)),
  )
  trace.permitted = permit(trace.found, destination)
  return trace.permitted
}

async function openStream(
  raw: Socket,
  request: UpstreamRequest,
  progress: Progress,
  budget: Budget,
  now: () => number,
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
    const connection = await originate(raw, request, progress.facts, budget.signal)
    if (needsConfirmation(connection.watch)) {
      const { confirmMs } = request.destination.connect
      const waitMs = confirmWaitMs(confirmMs, now() - start, budget.remainingMs())
      await confirm(connection, waitMs, budget.signal)
    }
    const { socket, watch, presented } = connection
    const judgeLateError = (error: Error) => lateCode(error, { asked: watch.asked, presented })
    return { stream: socket, judgeLateError }
  })
}

function withProgress(error: unknown, { facts, timings, trace }: Progress): UpstreamError {
  if (error instanceof UpstreamError) {
    const { code, message, cause, hint } = error
    return new UpstreamError(code, message, { cause, hint, facts, timings, trace })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new UpstreamError('session-internal-error', message, { cause: error, facts, timings, trace })
}
