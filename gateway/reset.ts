// How a connection is reset, also where TLS lies over it. `destroy()` on a TLS socket reaches the peer as a clean end
// (nodejs/node#49484), and `resetAndDestroy()` on the raw one loses the socket for good where it is just being ended: libuv
// refuses to reset while a shutdown is under way (uv_tcp_close_reset, EINVAL), Node takes the handle for closed all the
// same, the peer is told nothing, the descriptor stays open, and the process spins at its end (Node 24.21.0). So that moment
// is waited for.
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/**
 * An end takes a turn of the event loop, unless it finds no room because the peer does not read. Closing is what is left
 * then: that peer was to get the end in any case, and everything before it is on its way.
 */
const ENDING_MS = 250

const layers = new WeakMap<Socket, Writable>()
const waiting = new WeakSet<Socket>()

/** TLS lies over `raw` from now on, and its end is an end of `raw`. */
export function laidOver(raw: Socket, tls: Writable): void {
  layers.set(raw, tls)
}

/** Resets the connection, at once or as soon as an end that is under way is over. */
export function resetSocket(raw: Socket): void {
  // resetAndDestroy() on a socket that is still connecting waits for the connection, which may never come.
  if (raw.connecting || raw.destroyed) return void raw.destroy()
  const ending = [layers.get(raw), raw].find(isEnding)
  if (ending === undefined) return void raw.resetAndDestroy()
  if (waiting.has(raw)) return
  waiting.add(raw)
  const onFinish = () => void raw.resetAndDestroy()
  ending.once('finish', onFinish)
  const stuck = setTimeout(() => {
    ending.off('finish', onFinish)
    raw.destroy()
  }, ENDING_MS)
  raw.once('close', () => clearTimeout(stuck))
}

/** With bytes left in Node the shutdown has not begun, and a reset is possible. */
function isEnding(stream: Writable | undefined): stream is Writable {
  if (stream === undefined || stream.destroyed) return false
  return stream.writableEnded && !stream.writableFinished && stream.writableLength === 0
}
