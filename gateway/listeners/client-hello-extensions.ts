// The three extensions of a ClientHello that the gateway reads: server_name (RFC 6066 §3), ALPN (RFC 7301 §3.1),
// supported_versions (RFC 8446 §4.2.1). Each is read to its last byte and in one way only: a name that another parser
// could read otherwise is refused, since the gateway judges by it and the server answers to it.
import { isIP } from 'node:net'
import { type HostErrorCode, meantByOctets, parseHost } from '../destinations/host.ts'
import { ByteReader } from './byte-reader.ts'
import { type ClientHelloErrorCode, ClientHelloFault } from './client-hello-error.ts'

const HOST_NAME = 0

const FROM_HOST: Readonly<Record<HostErrorCode, ClientHelloErrorCode>> = {
  empty: 'server-name-empty',
  'too-long': 'server-name-too-long',
  'not-ascii': 'server-name-not-ascii',
  character: 'server-name-invalid',
  label: 'server-name-invalid',
  punycode: 'server-name-invalid',
  // `127.1` and the like, which others read as an address.
  numeric: 'server-name-address',
  // With a colon, and no address as a whole: that is looked for before.
  ipv6: 'server-name-invalid',
  port: 'server-name-invalid',
}

/** The one host name, in the one spelling of the host grammar. @throws ClientHelloFault, CutShortError, as all here */
export function readServerName(data: Uint8Array): string {
  const names = new ByteReader(readWhole(data))
  if (names.left === 0)
    throw new ClientHelloFault('server-name-list-empty', 'the list of server names is empty')
  let name: string | null = null
  while (names.left > 0) {
    // No other type was ever defined, and without one nobody can say how long such a name is.
    if (names.uint8() !== HOST_NAME) {
      throw new ClientHelloFault('server-name-type', 'a server name is of an unknown type')
    }
    const octets = names.vector16()
    if (name !== null) throw new ClientHelloFault('server-name-twice', 'two server names')
    name = readHostName(octets)
  }
  return name ?? ''
}

function readHostName(octets: Uint8Array): string {
  // A C library's name ends here, so that it would see another one.
  if (octets.includes(0)) throw new ClientHelloFault('server-name-nul', 'the server name holds a NUL')
  const text = Buffer.from(octets).toString('latin1')
  if (octets.some((octet) => octet > 0x7f)) {
    const unicode = parseHost(meantByOctets(text))
    const hint = unicode.ok || unicode.code !== 'not-ascii' ? '' : unicode.message.replace(/^[^:]*/, '')
    throw new ClientHelloFault('server-name-not-ascii', `the server name has a byte that is not ASCII${hint}`)
  }
  if (text.endsWith('.')) {
    throw new ClientHelloFault('server-name-trailing-dot', 'the server name ends in a dot')
  }
  const host = isIP(text) === 0 ? parseHost(text) : null
  if (host === null || (host.ok && host.kind === 'address')) {
    throw new ClientHelloFault('server-name-address', 'the server name is an IP address')
  }
  if (!host.ok) throw new ClientHelloFault(FROM_HOST[host.code], host.message.replace('host', 'server name'))
  return host.host
}

/** Protocol names as Latin-1, since they are octets: GREASE (RFC 8701 §3.1) is among them. */
export function readAlpn(data: Uint8Array): readonly string[] {
  const list = new ByteReader(readWhole(data))
  const names: string[] = []
  while (list.left > 0) {
    const name = list.vector8()
    if (name.length === 0) throw new ClientHelloFault('alpn', 'an ALPN name is empty')
    names.push(Buffer.from(name).toString('latin1'))
  }
  if (names.length === 0) throw new ClientHelloFault('alpn', 'the list of ALPN names is empty')
  return names
}

/** As offered, GREASE included. */
export function readSupportedVersions(data: Uint8Array): readonly number[] {
  const outer = new ByteReader(data)
  const list = new ByteReader(outer.vector8())
  if (outer.left > 0) throw new ClientHelloFault('trailing-bytes', 'bytes behind the list of versions')
  if (list.left === 0 || list.left % 2 !== 0) {
    throw new ClientHelloFault('supported-versions', 'the list of versions is empty or of odd length')
  }
  const versions: number[] = []
  while (list.left > 0) versions.push(list.uint16())
  return versions
}

/** The vector that fills an extension exactly. */
function readWhole(data: Uint8Array): Uint8Array {
  const reader = new ByteReader(data)
  const list = reader.vector16()
  if (reader.left > 0) throw new ClientHelloFault('trailing-bytes', 'bytes behind the list of an extension')
  return list
}
