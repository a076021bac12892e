// Reads and drops one PROXY protocol v2 header from the start of a raw connection, where one is there. For the health
// port alone: nothing in the header is used, so its addresses, TLVs and checksum are not looked at. A header that means
// something is judged, not skipped (gateway/listeners/proxy-protocol.ts).
import type { Socket } from 'node:net'
import { readProxyPreface } from '../listeners/proxy-protocol.ts'

/** AWS's header with its TLVs is under 200 bytes. */
const MAX_HEADER_BYTES = 1024

/** The header's length, 0 where there is none, or that this is open, or that it is one no balancer sends. */
function proxyHeaderLength(bytes: Buffer): number | 'open' | 'refused' {
  const preface = readProxyPreface(bytes)
  if (preface.state === 'incomplete') return 'open'
  if (preface.state === 'refused') return preface.code === 'signature' ? 0 : 'refused'
  return preface.length <= MAX_HEADER_BYTES ? preface.length : 'refused'
}

/** Calls `then` when the header, if any, is off the stream; one that is no balancer's ends the connection. */
export function skipProxyHeader(raw: Socket, then: () => void): void {
  let buffered: Buffer = Buffer.alloc(0)
  const onReadable = () => {
    const chunk: Buffer | null = raw.read()
    if (chunk !== null) buffered = Buffer.concat([buffered, chunk])
    const length = proxyHeaderLength(buffered)
    if (length === 'refused') return void raw.destroy()
    if (length === 'open' || buffered.length < length || buffered.length === 0) {
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
