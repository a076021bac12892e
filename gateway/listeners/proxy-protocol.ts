// Reads one PROXY protocol v2 header from the first bytes of a connection (proxy-protocol.txt §2.2): bounded, refused
// at the first wrong byte of its fixed part, and strict behind it. A header says who somebody claims to be, so it is
// worth what its sender is worth: the listener reads it only where it is required, and only from the addresses named.
import { canonicalAddress } from '../upstream/address-class.ts'
import { ByteReader, CutShortError } from './byte-reader.ts'
import { ProxyHeaderFault, type RefusedHeader, refused } from './proxy-protocol-error.ts'
import { readTlvs } from './proxy-protocol-tlvs.ts'

/**
 * The whole header. AWS's with its TLVs is under 200 bytes; HAProxy's with all facts of a TLS client is under 1 KiB, and
 * some 3 KiB where it sends the client's certificate too.
 */
export const MAX_PROXY_HEADER_BYTES = 4096

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const FIXED_BYTES = 16
const VERSION = 2
/** Bytes of both addresses and both ports; UNSPEC has none that anybody could read. */
const FAMILIES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
])
const UNSPEC = 0x00

export type ProxyCommand = 'local' | 'proxy'

export interface ProxyAddress {
  /** Canonical; an IPv4-mapped IPv6 address is the IPv4 address. */
  readonly ip: string
  readonly port: number
}

/** `need`: at least so many more bytes must come before the answer can be another one. */
export interface IncompleteHeader {
  readonly state: 'incomplete'
  readonly need: number
}

export interface ProxyPreface {
  readonly state: 'done'
  /** Of the whole header. */
  readonly length: number
  readonly command: ProxyCommand
  readonly family: number
}

export interface ProxyHeader {
  readonly state: 'done'
  /** How many bytes the header is; what comes behind is the client's. */
  readonly length: number
  /** `local`: the balancer's own connection, such as a health check; the socket's addresses are the real ones. */
  readonly command: ProxyCommand
  /** Null where the header has no addresses: with `local`, and where the family is UNSPEC. */
  readonly source: ProxyAddress | null
  readonly destination: ProxyAddress | null
  readonly vpcEndpoint: string | null
}

export type ProxyHeaderResult = IncompleteHeader | RefusedHeader | ProxyHeader

/** What `bytes`, all bytes so far, amount to. The answer, once decided, is the same whatever bytes follow. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeaderResult {
  const preface = readProxyPreface(bytes)
  if (preface.state !== 'done') return preface
  const { length, command, family } = preface
  if (bytes.length < length) return { state: 'incomplete', need: length - bytes.length }
  // Nothing says how long the addresses of an unknown family are, so nobody can tell where its TLVs begin: the block is
  // skipped as a whole (HAProxy and nginx do the same), and with it any VPC endpoint, which fails closed.
  if (command === 'local' || family === UNSPEC) {
    return { state: 'done', length, command, source: null, destination: null, vpcEndpoint: null }
  }
  try {
    return { state: 'done', length, command, ...readBlock(bytes.subarray(0, length), family) }
  } catch (error) {
    if (error instanceof ProxyHeaderFault) return refused(error.code, error.message)
    if (error instanceof CutShortError) return refused('tlv', 'a TLV is longer than what holds it')
    throw error
  }
}

/** The 16 bytes that say what the header is and how long. */
export function readProxyPreface(bytes: Uint8Array): IncompleteHeader | RefusedHeader | ProxyPreface {
  if (!startsLikeSignature(bytes)) return refused('signature', 'no PROXY protocol v2 signature')
  const [versionAndCommand, family, high, low] = bytes.subarray(SIGNATURE.length)
  if (versionAndCommand !== undefined) {
    if (versionAndCommand >> 4 !== VERSION) return refused('version', 'the version is not 2')
    if ((versionAndCommand & 0x0f) > 1) return refused('command', 'the command is neither LOCAL nor PROXY')
  }
  const command = versionAndCommand === 0x20 ? 'local' : 'proxy'
  // With LOCAL the family is to be ignored (§2.2).
  const addresses = family === undefined || command === 'local' ? 0 : FAMILIES.get(family)
  if (addresses === undefined) return refused('family', 'the family is not TCP over IPv4 or IPv6')
  if (family === undefined || high === undefined || low === undefined) {
    return { state: 'incomplete', need: FIXED_BYTES - bytes.length }
  }
  const length = FIXED_BYTES + high * 0x100 + low
  if (length > MAX_PROXY_HEADER_BYTES) {
    return refused('too-long', `the header is longer than ${MAX_PROXY_HEADER_BYTES} bytes`)
  }
  if (length < FIXED_BYTES + addresses)
    return refused('too-short', 'the header is shorter than its addresses')
  return { state: 'done', length, command, family }
}

/**
 * Whether `rest`, what follows a header, begins with another one. NLB puts its header before what the client sent and
 * takes nothing away, so that a second one is a client's attempt to be somebody else for a parser that reads on.
 */
export function checkNoSecondHeader(rest: Uint8Array): IncompleteHeader | RefusedHeader | { state: 'none' } {
  if (!startsLikeSignature(rest)) return { state: 'none' }
  if (rest.length >= SIGNATURE.length) return refused('second-header', 'a second PROXY protocol header')
  return { state: 'incomplete', need: 1 }
}

/** So far: all of `bytes`, or the first twelve, agree. */
function startsLikeSignature(bytes: Uint8Array): boolean {
  return bytes.subarray(0, SIGNATURE.length).every((byte, index) => byte === SIGNATURE[index])
}

function readBlock(
  header: Uint8Array,
  family: number,
): Pick<ProxyHeader, 'source' | 'destination' | 'vpcEndpoint'> {
  const reader = new ByteReader(header)
  reader.take(FIXED_BYTES)
  const size = family === 0x11 ? 4 : 16
  const sourceIp = readIp(reader.take(size))
  const destinationIp = readIp(reader.take(size))
  const source = { ip: sourceIp, port: reader.uint16() }
  const destination = { ip: destinationIp, port: reader.uint16() }
  return { source, destination, ...readTlvs(header, reader.offset) }
}

function readIp(octets: Uint8Array): string {
  const hex = Buffer.from(octets).toString('hex')
  const text = octets.length === 4 ? octets.join('.') : hex.replaceAll(/(.{4})(?=.)/g, '$1:')
  return canonicalAddress(text) ?? text
}
