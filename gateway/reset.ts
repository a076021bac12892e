// How a connection is reset, also where TLS lies over it. `destroy()` on a TLS socket reaches the peer as a clean end
// (nodejs/node#49484), and `resetAndDestroy()` on the raw one under it loses the socket for good where TLS is just being
// ended: libuv refuses to reset while a shutdown is under way (uv_tcp_close_reset, EINVAL), Node takes the handle for
// closed all the same, and the descriptor stays open and the process spins at its end (Node 24.21.0). So that moment is
// waited for.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** A shutdown takes a turn of the event loop, unless its close_notify finds no room: then the peer does not read. */
const ENDING_MS = 1_000

const layers = new WeakMap<Socket, TLSSocket>()
const waiting = new WeakSet<Socket>()

/** To be told of every TLS socket of ours as soon as it is there. */
export function laidOver(raw: Socket, tls: TLSSocket): void {
  layers.set(raw, tls)
}

/** Ends a raw socket so that the peer sees a reset. Nothing may be written to what lies over it from then on. */
export function resetSocket(raw: Socket): void {
  // resetAndDestroy() on a socket that is still connecting waits for the connection, which may never come.
  if (raw.connecting || raw.destroyed) return void raw.destroy()
  const tls = layers.get(raw)
  if (tls === undefined || !isShuttingDown(tls)) return void raw.resetAndDestroy()
  if (waiting.has(raw)) return
  waiting.add(raw)
  const onFinish = () => {
    clearTimeout(stuck)
    raw.resetAndDestroy()
  }
  const stuck = setTimeout(() => {
    tls.off('finish', onFinish)
    raw.destroy()
  }, ENDING_MS)
  tls.once('finish', onFinish)
  raw.once('close', () => clearTimeout(stuck))
}

/** While something waits to be written the shutdown has not begun. */
function isShuttingDown(tls: TLSSocket): boolean {
  return tls.writableEnded && !tls.writableFinished && tls.writableLength === 0
}
