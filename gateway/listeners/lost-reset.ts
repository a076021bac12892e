// A reset that Node loses (24.21.0): where it meets the session tickets that OpenSSL writes behind a TLS 1.3 handshake, the
// socket raises no error and does not close, says 'end' at most, and every later write waits for ever. The session behind
// it would live until its idle time-out, and the service would be told of an end that was none.
import type net from 'node:net'
import type tls from 'node:tls'
import { resetSocket } from '../reset.ts'

/** The first bytes behind a handshake always fit into an empty socket: a write that takes longer will never end. */
const STUCK_MS = 5_000

/**
 * Writes the first bytes behind the handshake, a few or none at all, and resets the connection where that never ends.
 * Gives what calls its argument once they are written: an end that was read before may be a lost reset.
 */
export function writeFirst(tls: tls.TLSSocket, raw: net.Socket, bytes: string): (then: () => void) => void {
  const stuck = setTimeout(() => resetSocket(raw), STUCK_MS)
  let written = false
  let waiting = () => {}
  tls.write(bytes, (error) => {
    clearTimeout(stuck)
    written = error === null || error === undefined
    if (written) waiting()
  })
  return (then) => {
    if (written) then()
    else waiting = then
  }
}
