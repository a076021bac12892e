// A CancelRequest on its way to the one server that it means. Nothing is sent where no live session has its key: a guess
// at somebody's secret must not even be tried, and it would mean nothing to another server.
import type { Duplex } from 'node:stream'
import { UpstreamError } from '../../types.ts'
import type { Moves } from '../adapted-stream.ts'
import type { AdaptContext } from '../types.ts'

/**
 * `address` is the endpoint of the session with the packet's key, null where there is none. Who asks was allowed to reach
 * the destination, and is so with his own client certificate. `gone`: he does not wait any more.
 */
export function cancel(
  packet: Buffer,
  address: string | null,
  context: AdaptContext,
  gone: AbortSignal,
): Moves {
  if (address === null) {
    return {
      failure: new UpstreamError('request-cancel-unknown', 'no open session has this process id and secret'),
    }
  }
  // The server closes when it has done it, and so the client is told.
  if (address === context.address) return { toServer: packet, transparent: 'server' }
  return { instead: () => cancelAt(packet, address, context, gone) }
}

async function cancelAt(
  packet: Buffer,
  address: string,
  context: AdaptContext,
  gone: AbortSignal,
): Promise<void> {
  const reopened = await context.reopen(address)
  const reset = () => reopened.reset()
  const timer = setTimeout(reset, context.destination.connect.timeoutMs)
  gone.addEventListener('abort', reset, { once: true })
  try {
    if (gone.aborted) throw new UpstreamError('relay-client-reset', 'nobody waits for the cancel any more')
    await sendAndWait(reopened.stream, packet)
  } finally {
    clearTimeout(timer)
    reset()
  }
}

/** Resolves when the server has closed: there is no other answer. */
async function sendAndWait(stream: Duplex, packet: Buffer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  stream.once('end', resolve)
  stream.once('close', () => reject(stream.errored ?? new UpstreamError('relay-upstream-reset', 'no answer')))
  stream.resume()
  stream.write(packet)
  await promise
}
