// The few packets of PostgreSQL's protocol that come before a session (protocol documentation, "Message Formats"): their
// codes, their limits, and how the first of them is told from the others. Bytes are untrusted.

export const SSL_REQUEST = 80_877_103
export const GSSENC_REQUEST = 80_877_104
export const CANCEL_REQUEST = 80_877_102
/** The length of SSLRequest and GSSENCRequest. */
export const REQUEST_BYTES = 8
/** First byte of a TLS record with a ClientHello; a packet's first byte is the highest of its length, always 0. */
export const HANDSHAKE_RECORD = 0x16
/** Sent by direct TLS, and refused without: whoever is led here to speak another protocol does not offer it (ALPACA). */
export const POSTGRES_ALPN = 'postgresql'
/** The server's own limit (MAX_STARTUP_PACKET_LENGTH). */
const MAX_STARTUP_BYTES = 10_000
/** Length, code, process id; then the secret: 4 bytes, up to 256 from protocol 3.2 on. */
const CANCEL_HEAD_BYTES = 12
export const MAX_SECRET_BYTES = 256
const PROTOCOL_MAJOR = 3

export type FirstPacket =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'tls' }
  | { readonly kind: 'ssl' | 'gssenc' | 'startup'; readonly length: number }
  /** `key`: process id and secret, as BackendKeyData has them. */
  | { readonly kind: 'cancel'; readonly length: number; readonly key: Buffer }
  | { readonly kind: 'malformed'; readonly detail: string }

/** What a client's `bytes`, from the beginning of a packet on, amount to. The verdict on a prefix never changes. */
export function readFirstPacket(bytes: Buffer): FirstPacket {
  if (bytes[0] === HANDSHAKE_RECORD) return { kind: 'tls' }
  if (bytes.length < REQUEST_BYTES) return { kind: 'incomplete' }
  const length = bytes.readUInt32BE(0)
  const code = bytes.readUInt32BE(4)
  if (length < REQUEST_BYTES || length > MAX_STARTUP_BYTES) {
    return { kind: 'malformed', detail: `a first packet of ${length} bytes` }
  }
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    if (length !== REQUEST_BYTES) return { kind: 'malformed', detail: 'a request for encryption with a body' }
    return { kind: code === SSL_REQUEST ? 'ssl' : 'gssenc', length }
  }
  if (code === CANCEL_REQUEST) return readCancel(bytes, length)
  if (code >>> 16 !== PROTOCOL_MAJOR) {
    return { kind: 'malformed', detail: `protocol ${code >>> 16}.${code & 0xffff}` }
  }
  return bytes.length < length ? { kind: 'incomplete' } : { kind: 'startup', length }
}

function readCancel(bytes: Buffer, length: number): FirstPacket {
  const secret = length - CANCEL_HEAD_BYTES
  if (secret < 1 || secret > MAX_SECRET_BYTES) {
    return { kind: 'malformed', detail: `a CancelRequest of ${length} bytes` }
  }
  if (bytes.length < length) return { kind: 'incomplete' }
  return { kind: 'cancel', length, key: bytes.subarray(8, length) }
}

/** ErrorResponse with severity FATAL; fields end with a NUL each, the list with another. */
export function errorResponse(sqlState: string, message: string): Buffer {
  const fields = [`SFATAL`, `VFATAL`, `C${sqlState}`, `M${message}`].map((field) => `${field}\0`).join('')
  return frame('E', Buffer.from(`${fields}\0`, 'utf8'))
}

/** A message of the protocol: type, length of itself and the body, body. */
export function frame(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** Code and message out of the body of an ErrorResponse (a field is a letter, text and NUL); null where it has neither. */
export function readErrorResponse(body: Buffer): string | null {
  const fields = body.toString('latin1').split('\0')
  const field = (letter: string) => fields.find((one) => one.startsWith(letter))?.slice(1)
  const parts = [field('C'), field('M')].filter((part) => part !== undefined)
  return parts.length === 0 ? null : parts.join(' ')
}
