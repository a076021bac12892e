// A reset that Node loses (24.21.0): where it meets the session tickets that OpenSSL writes behind a TLS 1.3 handshake, the
// socket raises no error and does not close, says 'end' at most, and every later write waits for ever. The session behind
// it would live until its idle time-out, and the service would be told of an end that was none.
import type net from 'node:net'
import type tls from 'node:tls'
import { resetSocket } from '../reset.ts'

/** What follows a handshake or an end that is none fits into an empty socket: a write that takes longer will never end. */
const STUCK_MS = 5_000

/** Calls its argument when an end that was read may be passed on, because it is one. */
export type HoldEnd = (pass: () => void) => void

/** Writes the first bytes behind the handshake, and resets the connection where that never ends. */
export function writeFirst(tls: tls.TLSSocket, raw: net.Socket, bytes: string): HoldEnd {
  const stuck = setTimeout(() => resetSocket(raw), STUCK_MS)
  let written = false
  let waiting = () => {}
  tls.write(bytes, (error) => {
    clearTimeout(stuck)
    written = error === null || error === undefined
    if (written) waiting()
  })
  return (pass) => {
    if (written) pass()
    else waiting = pass
  }
}

/**
 * The same where the first bytes are the service's, whenever they come: to be made before any. An end that was read is tried
 * by a write of nothing, and not before that: such a write takes a reset that has come from the kernel, Node says that it
 * went well (24.21.0), and the next read says EOF.
 */
export function tryEnd(
  tls: tls.TLSSocket,
  raw: net.Socket,
): { readonly holdEnd: HoldEnd; readonly whenFull: () => void } {
  const before = raw.bytesWritten
  // TLS hands the first of its bytes, or its end, to TCP in the turn in which it gets them, or behind a write of nothing.
  const isStuck = () => raw.bytesWritten === before
  const later = (then: () => void) => void setTimeout(then, STUCK_MS).unref()
  const resetIfStuck = () => {
    if (isStuck()) resetSocket(raw)
  }
  const holdEnd: HoldEnd = (pass) => {
    if (tls.destroyed) return pass()
    const given = tls.writableLength > 0 || tls.writableEnded
    if (given && isStuck()) {
      return later(() => {
        if (isStuck()) resetSocket(raw)
        else holdEnd(pass)
      })
    }
    if (tls.writableEnded) return pass()
    // Behind bytes that wait for a slow client it may take as long as that client does.
    const stuck = given ? undefined : setTimeout(() => resetSocket(raw), STUCK_MS)
    tls.write('', (error) => {
      clearTimeout(stuck)
      if (error === null || error === undefined) pass()
    })
  }
  return {
    holdEnd,
    whenFull: () => {
      if (isStuck()) later(resetIfStuck)
    },
  }
}
