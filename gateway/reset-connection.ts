// How a TCP connection is reset whatever state it is in. `raw.resetAndDestroy()` alone is wrong in the moment in which an end
// is under way on the same socket: libuv refuses to reset what it is shutting down (EINVAL), and by then Node has dropped the
// handle, so nobody can close it any more. The peer gets no reset, the socket never says 'close', and the process never ends.
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/**
 * An end is a few bytes: one that takes longer waits for a peer that reads nothing. Closing is what is left then. That peer
 * was to get the end in any case, and everything before it is on its way.
 */
const ENDING_MS = 250

const above = new WeakMap<Socket, Writable>()

/** TLS lies over `raw` from now on, and its end is an end of `raw`. */
export function liesOver(raw: Socket, tls: Writable): void {
  above.set(raw, tls)
}

/** Resets the connection, at once or as soon as an end that is under way is over. */
export function resetConnection(raw: Socket): void {
  const ending = [above.get(raw), raw].find(isEnding)
  if (ending === undefined) return void raw.resetAndDestroy()
  ending.once('finish', () => raw.resetAndDestroy())
  const timer = setTimeout(() => raw.destroy(), ENDING_MS)
  raw.once('close', () => clearTimeout(timer))
}

/** With bytes left in Node, the shutdown has not begun, and a reset is possible. */
function isEnding(stream: Writable | undefined): stream is Writable {
  if (stream === undefined || stream.destroyed) return false
  return stream.writableEnded && !stream.writableFinished && stream.writableLength === 0
}
