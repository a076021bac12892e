// The way out, composed: resolve, classify, dial, startTls, TLS, confirm, adapt. Each stage is a file of its own with its own codes;
// here is their order, the one budget over all of them, and the promise that a failure leaves nothing open.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { dialRacing } from './attempts.ts'
import { createBlockLists } from './block-list.ts'
import { type Budget, openBudget, within } from './budget.ts'
import { confirm, confirmWaitMs, needsConfirmation } from './confirm.ts'
import { createEndpoints, type Endpoints } from './endpoints.ts'
import { localAddresses } from './local-names.ts'
import { createTlsMemory, originate, type TlsConnection, type TlsMemory } from './originate.ts'
import { NO_SURROUNDINGS, permit, type Surroundings } from './permit.ts'
import { createProgress, type Progress } from './progress.ts'
import { resetSocket } from '../reset.ts'
import { matched } from './resumption.ts'
import { addressOf, upgrade } from './starttls/layer.ts'
import { createStartTlsSet, type StartTlsSet } from './starttls/registry.ts'
import type { AdaptContext, Reopened, Upgraded } from './starttls/types.ts'
import { alertOf, lateCode } from './tls-failures.ts'
import {
  type AttemptResult,
  type Dial,
  type LockedDial,
  type OpenUpstream,
  type Resolution,
  type Resolve,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamRequest,
} from './types.ts'

export interface OpenUpstreamOptions {
  readonly resolve: Resolve
  readonly dial: LockedDial
  /** Default: those of a gateway that knows neither its VPC nor its listeners. */
  readonly surroundings?: Surroundings
  /** Default: one of its own. */
  readonly startTls?: StartTlsSet
  /** What is remembered of endpoints; default: a memory of its own. */
  readonly endpoints?: Endpoints
  readonly onAttempt?: (result: AttemptResult) => void
  /** Monotonic, in milliseconds; default `performance`. */
  readonly clock?: { now(): number }
  /** Sessions to resume and the like; default: a memory of its own. */
  readonly tlsMemory?: TlsMemory
}

type Opened = Pick<UpstreamConnection, 'stream' | 'judgeLateError' | 'proven'>

interface Opening {
  readonly request: UpstreamRequest
  readonly progress: Progress
  readonly budget: Budget
  readonly dial: Dial
  readonly surroundings: Surroundings
  readonly startTls: StartTlsSet
  readonly tlsMemory: TlsMemory
  readonly endpoints: Endpoints
  readonly onAttempt: (result: AttemptResult) => void
  readonly now: () => number
}

/** What is made of the TLS stream at the end. */
type Finish = (tls: TLSSocket, upgraded: Upgraded, opening: Opening) => Duplex

const NEVER_ASKED = { asked: false, presented: false }
const judgePlain = (error: Error) => lateCode(error, NEVER_ASKED)

/**
 * The returned function must be called only after the decision was allow: it asks DNS and dials. It rejects with an
 * UpstreamError alone, which holds what was reached. Everything together takes at most `connect.timeoutMs`.
 *
 * What it resolves to belongs to the caller at once: `stream` is paused, may hold early data, and may already have
 * ended (`readableEnded`) or failed (`errored`) when the caller comes to listen.
 */
export function createOpenUpstream(options: OpenUpstreamOptions): OpenUpstream {
  const { resolve, surroundings = NO_SURROUNDINGS, clock = performance, onAttempt = () => {} } = options
  const { startTls = createStartTlsSet(), tlsMemory = createTlsMemory() } = options
  const blockListFor = createBlockLists(surroundings.network)
  const now = (): number => clock.now()
  const endpoints = options.endpoints ?? createEndpoints({ now, random: Math.random })
  return async (request) => {
    const { destination } = request
    matched(destination)
    const progress = createProgress(now)
    using budget = openBudget(destination.connect.timeoutMs, request.signal, now)
    const blockList = blockListFor(destination)
    const dial: Dial = (endpoint, signal) => options.dial({ ...endpoint, blockList }, signal)
    const opening = {
      ...{ request, progress, budget, dial, surroundings, startTls, tlsMemory, endpoints, onAttempt, now },
    }
    try {
      const addresses = await addressesFor(opening, resolve)
      return await reach(addresses, destination.connect.attempts, opening, adapt)
    } catch (error) {
      throw withProgress(error, progress)
    }
  }
}

/** The permitted ones, judged anew each time: what a cache holds was judged for another session, or before a change. */
async function addressesFor(opening: Opening, resolve: Resolve): Promise<readonly string[]> {
  const { request, progress, budget, surroundings } = opening
  const { host, port, destination } = request
  const { trace } = progress
  const note = (resolution: Resolution): void => {
    trace.resolution = { source: resolution.source, ttlMs: resolution.ttlMs }
  }
  const ask = () => within(budget.signal, 'dns-timeout', (inner) => resolve(host, inner, note))
  trace.found = await progress.timed('resolveMs', async () => localAddresses(host) ?? ask())
  trace.permitted = permit(trace.found, port, destination, surroundings)
  return trace.permitted
}

/** Dials and speaks; leaves nothing open where it fails. */
async function reach(
  addresses: readonly string[],
  attempts: number,
  opening: Opening,
  finish: Finish,
): Promise<UpstreamConnection> {
  const { request, progress, budget, dial, now, endpoints, onAttempt } = opening
  const { host, port } = request
  let raw: Socket | null = null
  try {
    raw = await progress.timed('connectMs', () =>
      dialRacing({
        addresses: endpoints.order(host, port, addresses),
        ...{ port, attempts, dial, budget, now, progress, endpoints, onAttempt },
      }),
    )
    const opened = await openStream(raw, opening, finish)
    opened.stream.pause()
    const { facts, timings, trace } = progress
    return { raw, facts, timings, trace, ...opened }
  } catch (error) {
    if (raw !== null) resetSocket(raw)
    throw error
  }
}

async function openStream(raw: Socket, opening: Opening, finish: Finish): Promise<Opened> {
  const { request, progress, budget, startTls, tlsMemory, now } = opening
  const { destination } = request
  if (destination.tls !== 'originate') {
    if (request.serverName !== null) {
      progress.facts.serverName = request.serverName
      progress.facts.nameProof = 'client-hello'
    }
    return { stream: raw, proven: null, judgeLateError: judgePlain }
  }
  return progress.timed('tlsMs', async () => {
    const upgraded = await upgrade(raw, destination, startTls, budget.signal)
    const start = now()
    const connection = await originate(raw, request, progress.facts, budget.signal, tlsMemory)
    if (needsConfirmation(connection.watch)) {
      const waitMs = confirmWaitMs(destination.connect.confirmMs, now() - start, budget.remainingMs())
      await confirm(connection, waitMs, budget.signal)
    }
    const { socket, resumption, proven } = connection
    resumption.confirmed()
    return { stream: finish(socket, upgraded, opening), proven, judgeLateError: lateJudge(connection) }
  })
}

/** Lives as long as the session, and so does whatever it was made beside: not within the opening, which would stay too. */
function lateJudge({ asked, presented, resumption }: TlsConnection): UpstreamConnection['judgeLateError'] {
  return (error) => {
    if (error instanceof UpstreamError) return error.code
    // A refusal that came late: what the server gave us to resume is worth nothing.
    if (alertOf(error) !== null) resumption.failed()
    return lateCode(error, { asked, presented })
  }
}

/** As a client that speaks the protocol of `startTls` in plaintext expects it; without one, TLS as it is. */
function adapt(tls: TLSSocket, upgraded: Upgraded, opening: Opening): Duplex {
  const { destination, host, port, onCancelKey = () => () => {} } = opening.request
  const address = opening.progress.facts.address ?? ''
  const reopen: AdaptContext['reopen'] = (other, by) => {
    if (by === undefined) return reachAgain(other, opening)
    const startTls: StartTlsSet = (name) => ({ ...opening.startTls(name), upgrade: by })
    return reachAgain(other, { ...opening, startTls })
  }
  return upgraded.adapt(tls, { destination, host, port, address, onCancelKey, reopen })
}

/** For a session that is about another one: to the endpoint of that one, by all rules of this one. */
async function reachAgain(endpoint: string, opening: Opening): Promise<Reopened> {
  const { request, progress, now } = opening
  const again = createProgress(now)
  using budget = openBudget(request.destination.connect.timeoutMs, request.signal, now)
  try {
    // Permitted then; what is no longer permitted is not dialled now.
    const { destination, port } = request
    const addresses = permit([addressOf(endpoint)], port, destination, opening.surroundings)
    const { stream, raw } = await reach(addresses, 1, { ...opening, progress: again, budget }, (tls) => tls)
    return { stream, reset: () => resetSocket(raw) }
  } catch (error) {
    throw withProgress(error, again)
  } finally {
    // The record's upstream is where the session went in the end.
    const attempts = progress.facts.attempts + again.facts.attempts
    if (again.facts.address !== null) Object.assign(progress.facts, again.facts, { attempts })
  }
}

function withProgress(error: unknown, { facts, timings, trace }: Progress): UpstreamError {
  if (error instanceof UpstreamError) {
    const { code, message, cause, hint } = error
    return new UpstreamError(code, message, { cause, hint, facts, timings, trace })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new UpstreamError('session-internal-error', message, { cause: error, facts, timings, trace })
}
