// Linkerd's transport header: what a client proxy writes first inside TLS of ALPN `transport.l5d.io/v1`, to say where the
// bytes behind it are for (linkerd2-proxy, linkerd/transport-header). Incremental, bounded, and stricter than Linkerd
// where leniency would let one header be read in two ways. Trusts nothing: the peer may be known, its words are not.
import { parseHost } from '../destinations/host.ts'
import { ProtobufError, type ProtobufField, readFields, WIRE } from './protobuf.ts'

export const LINKERD_ALPN = 'transport.l5d.io/v1'
const PREFACE = Buffer.from(`${LINKERD_ALPN}\r\n\r\n`, 'latin1')
/** u32, big-endian: `put_u32` of Rust's bytes crate. */
const LENGTH_BYTES = 4
/**
 * Linkerd's own reader takes 64 KiB; its writer needs less than 300 bytes for the longest name. What is left is room
 * for fields that are not there yet.
 */
export const MAX_MESSAGE_BYTES = 4 * 1024
const MAX_PORT = 65_535

export type LinkerdHeaderErrorCode = 'preface' | 'too-large' | 'malformed' | 'port' | 'name'

export interface LinkerdHeader {
  readonly kind: 'done'
  readonly port: number
  /** Canonical (gateway/destinations/host.ts), never an address; null = the port of the proxy's own pod. */
  readonly name: string | null
  /** What the client's proxy took the bytes for; `http2` may be HTTP/1 that it has upgraded. */
  readonly sessionProtocol: 'opaque' | 'http1' | 'http2'
  /** Bytes of the header; what follows is the payload. */
  readonly length: number
}

export type LinkerdHeaderResult =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly code: LinkerdHeaderErrorCode; readonly message: string }
  | LinkerdHeader

/** What `buffered`, all bytes so far, amounts to. The verdict on a prefix never changes when more bytes follow. */
export function readLinkerdHeader(buffered: Buffer): LinkerdHeaderResult {
  const preface = buffered.subarray(0, PREFACE.length)
  if (!preface.equals(PREFACE.subarray(0, preface.length))) {
    return refused('preface', `does not begin with ${LINKERD_ALPN}`)
  }
  const start = PREFACE.length + LENGTH_BYTES
  if (buffered.length < start) return { kind: 'incomplete' }
  const size = buffered.readUInt32BE(PREFACE.length)
  if (size > MAX_MESSAGE_BYTES)
    return refused('too-large', `a message of more than ${MAX_MESSAGE_BYTES} bytes`)
  if (buffered.length < start + size) return { kind: 'incomplete' }
  try {
    return readHeader(buffered.subarray(start, start + size), start + size)
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error
    return refused('malformed', error.message)
  }
}

function refused(
  code: LinkerdHeaderErrorCode,
  message: string,
): Extract<LinkerdHeaderResult, { kind: 'refused' }> {
  return { kind: 'refused', code, message }
}

/** `Header {int32 port = 1; string name = 2; SessionProtocol session_protocol = 3}` (proto/header.proto). */
function readHeader(message: Buffer, length: number): LinkerdHeaderResult {
  const fields = onlyOnce(readFields(message))
  const port = varint(fields.get(1)) ?? 0n
  // As an unsigned 64-bit number: Linkerd keeps the low 32 bits, so that 2^32 + 443 would be 443 to it.
  if (port < 1n || port > BigInt(MAX_PORT))
    return refused('port', `the port is not a number from 1 to ${MAX_PORT}`)
  const sessionProtocol = readSessionProtocol(bytes(fields.get(3)))
  const text = decode(bytes(fields.get(2)) ?? Buffer.alloc(0))
  // proto3 has one encoding for empty and absent; Linkerd takes both for "no name".
  const host = text === '' ? null : parseHost(text)
  if (host?.ok === false) return refused('name', host.message)
  // Linkerd's own grammar of names has no addresses (linkerd/dns/name).
  if (host?.kind === 'address') return refused('name', 'the name is an address')
  return Object.freeze({
    kind: 'done',
    port: Number(port),
    name: host?.host ?? null,
    sessionProtocol,
    length,
  })
}

/** `SessionProtocol {oneof kind {Http1 http1 = 1; Http2 http2 = 2}}`; none that is known means opaque, as in Linkerd. */
function readSessionProtocol(message: Buffer | null): LinkerdHeader['sessionProtocol'] {
  if (message === null) return 'opaque'
  const fields = onlyOnce(readFields(message))
  const [http1, http2] = [bytes(fields.get(1)), bytes(fields.get(2))]
  if (http1 !== null && http2 !== null) throw new ProtobufError('two session protocols')
  // Both are messages without fields; what they hold must be fields all the same.
  readFields(http1 ?? http2 ?? Buffer.alloc(0))
  if (http1 !== null) return 'http1'
  return http2 === null ? 'opaque' : 'http2'
}

type FieldValue = ProtobufField['value']

/**
 * The fields that are known, by number. In protobuf the last of two equal fields counts, and messages are merged; no
 * writer repeats one, and readers have differed about it.
 */
function onlyOnce(fields: readonly ProtobufField[]): ReadonlyMap<number, FieldValue> {
  const known = new Map<number, FieldValue>()
  for (const { number, value } of fields) {
    if (number > 3) continue
    if (known.has(number)) throw new ProtobufError('a repeated field')
    known.set(number, value)
  }
  return known
}

function varint(value: FieldValue | undefined): bigint | null {
  if (value === undefined) return null
  if (value.wire !== WIRE.VARINT) throw new ProtobufError('a field of another type')
  return value.value
}

function bytes(value: FieldValue | undefined): Buffer | null {
  if (value === undefined) return null
  if (value.wire !== WIRE.LENGTH) throw new ProtobufError('a field of another type')
  return value.bytes
}

function decode(text: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text)
  } catch {
    throw new ProtobufError('a name that is not UTF-8')
  }
}
