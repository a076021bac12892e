// Reads and drops one PROXY protocol v2 header (proxy-protocol.txt §2.2) from the start of a raw connection, where one
// is there. For the health port alone: a header that means something is judged, not skipped.
import type { Socket } from 'node:net'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const FIXED_BYTES = 16
/** AWS's header with its TLVs is under 200 bytes. */
const MAX_HEADER_BYTES = 1024

/** What the first bytes amount to: the header's length, 0 where there is none, null while that is open. */
export function proxyHeaderLength(bytes: Buffer): number | null {
  const seen = Math.min(bytes.length, SIGNATURE.length)
  if (!bytes.subarray(0, seen).equals(SIGNATURE.subarray(0, seen))) return 0
  if (bytes.length < FIXED_BYTES) return null
  return FIXED_BYTES + bytes.readUInt16BE(14)
}

/** Calls `then` when the header, if any, is off the stream; a header that is too long ends the connection. */
export function skipProxyHeader(raw: Socket, then: () => void): void {
  let buffered: Buffer = Buffer.alloc(0)
  const onReadable = () => {
    const chunk: Buffer | null = raw.read()
    if (chunk !== null) buffered = Buffer.concat([buffered, chunk])
    const length = proxyHeaderLength(buffered)
    if (length !== null && length > MAX_HEADER_BYTES) return void raw.destroy()
    if (length === null || buffered.length < length || buffered.length === 0) {
      if (raw.readableEnded) raw.destroy()
      return
    }
    raw.off('readable', onReadable)
    const rest = buffered.subarray(length)
    if (rest.length > 0) raw.unshift(rest)
    then()
  }
  raw.on('readable', onReadable)
}
