// Drives an ascent over a socket, to the point where the ClientHello is next and not a byte further.
import type { Socket } from 'node:net'
import { UpstreamError } from '../types.ts'
import { injected } from './failures.ts'
import type { Ascent } from './machine.ts'

/**
 * What the ascent keeps. Rejects with an UpstreamError: the ascent's own, or `upstream-starttls-closed` where the server
 * ended or reset. `raw` is left paused, with nothing in its buffer; time is the caller's.
 */
export async function ascend<Kept>(raw: Socket, ascent: Ascent<Kept>): Promise<Kept> {
  const { promise, resolve, reject } = Promise.withResolvers<Kept>()
  const onData = (bytes: Buffer): void => {
    try {
      const step = ascent.feed(bytes)
      if (step.say.length > 0) raw.write(step.say)
      if (step.next === 'plain') return
      stop()
      resolve(step.kept)
    } catch (error) {
      stop()
      reject(error instanceof Error ? error : new Error(String(error)))
    }
  }
  const onEnd = (): void => reject(closed('the server ended the connection'))
  const onClose = (): void => reject(closed(raw.errored?.message ?? 'the connection was closed'))
  const stop = (): void => {
    raw.off('data', onData).off('end', onEnd).off('close', onClose)
    raw.pause()
  }
  raw.on('data', onData).on('end', onEnd).on('close', onClose)
  raw.resume()
  if (ascent.opening.length > 0) raw.write(ascent.opening)
  try {
    const kept = await promise
    // What came in the same turn, after the socket was paused.
    if (raw.readableLength > 0) throw injected()
    return kept
  } finally {
    stop()
  }
}

function closed(detail: string): UpstreamError {
  return new UpstreamError('upstream-starttls-closed', detail)
}
