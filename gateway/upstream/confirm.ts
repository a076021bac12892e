// Waits for the server's judgement of our client certificate. In TLS 1.3 a client's handshake is over before the
// server has even read its certificate (RFC 8446 §4.4), so "the handshake succeeded" says nothing yet, and a client
// told "connected" at that moment would be told wrong whenever the partner refuses it.
import { BudgetSpent, interruption } from './budget.ts'
import type { TlsConnection } from './originate.ts'
import { clientCertificateFailure } from './tls-failures.ts'
import type { TlsWatch } from './tls-watch.ts'

const MIN_WAIT_MS = 100
const MAX_WAIT_MS = 1_000
const HANDSHAKES = 3

/**
 * How long to wait: as configured, or three handshake times (the refusal takes one round trip, a slow server's
 * judgement some more), 100 ms to 1 s; never longer than the budget.
 */
export function confirmWaitMs(fixedMs: number | null, handshakeMs: number, remainingMs: number): number {
  const measured = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, handshakeMs * HANDSHAKES))
  return Math.min(fixedMs ?? measured, remainingMs)
}

/** False where the handshake itself tells: no certificate was asked for, TLS 1.2, or a resumed session. */
export function needsConfirmation({ asked, seen }: Pick<TlsWatch, 'asked' | 'seen'>): boolean {
  return asked && seen?.protocol === 'TLSv1.3' && !seen.resumed
}

/**
 * Resolves at the first sign of acceptance (data, or a session ticket, which servers send after they have verified the
 * client), or when the wait is over: silence is not a refusal. Rejects with
 * `upstream-tls-client-certificate-refused`, or `…-required` where we had none, at an alert, a reset or an end before
 * any data. The data stays in the stream.
 */
export async function confirm(connection: TlsConnection, waitMs: number, signal: AbortSignal): Promise<void> {
  const { socket, watch, presented } = connection
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const settle = (): void => {
    const verdict = judge(watch, socket.readableLength)
    if (verdict === 'refused') reject(clientCertificateFailure(watch.failure, { presented }))
    else if (verdict === 'accepted') resolve()
  }
  // One turn later: an end that came in the same packet as a ticket is told after it, and means that nobody will
  // speak to us; Node's own server and others close right after the handshake.
  let turn: NodeJS.Immediate | null = null
  const look = (): void => {
    turn ??= setImmediate(() => {
      turn = null
      settle()
    })
  }
  const onAbort = (): void => {
    // The wait is never longer than the budget, so both may be over at once: that is silence.
    if (signal.reason instanceof BudgetSpent) resolve()
    else reject(interruption(signal, 'upstream-tls-timeout'))
  }
  const timer = setTimeout(resolve, waitMs)
  signal.addEventListener('abort', onAbort, { once: true })
  watch.onChange = look
  // Data must be seen and not taken: a `data` listener would have to give it back, a `readable` one leaves it there.
  socket.on('readable', look)
  if (signal.aborted) onAbort()
  look()
  try {
    await promise
  } finally {
    clearTimeout(timer)
    if (turn !== null) clearImmediate(turn)
    signal.removeEventListener('abort', onAbort)
    watch.onChange = null
    socket.off('readable', look)
    // Node settles the stream's flow a tick after that, and would undo a pause() made before it.
    await new Promise<void>((next) => {
      process.nextTick(next)
    })
  }
}

/** What the signs so far mean; null = nothing yet. `buffered` is how many bytes of the server's data are waiting. */
export function judge(
  { failure, ended, ticket }: Pick<TlsWatch, 'failure' | 'ended' | 'ticket'>,
  buffered: number,
): 'accepted' | 'refused' | null {
  // Before the data: an alert in the same packet as data is a refusal, and a reset has taken the data with it.
  if (failure !== null) return 'refused'
  // A server that speaks has accepted us, also where it ends right after.
  if (buffered > 0) return 'accepted'
  if (ended) return 'refused'
  return ticket ? 'accepted' : null
}
