// Reads the body of a ClientHello, complete and without its handshake header (RFC 8446 §4.1.2; RFC 5246 §7.4.1.2 for
// one without extensions). Trusts nothing. Values that nobody knows, GREASE among them (RFC 8701), are passed over.
import { ByteReader } from './byte-reader.ts'
import { ClientHelloFault } from './client-hello-error.ts'
import { readAlpn, readServerName, readSupportedVersions } from './client-hello-extensions.ts'

const RANDOM_BYTES = 32
const MAX_SESSION_ID = 32
/** IANA, TLS ExtensionType Values; encrypted_client_hello by RFC 9849 §5. */
const EXTENSION = {
  SERVER_NAME: 0,
  ALPN: 16,
  SUPPORTED_VERSIONS: 43,
  ENCRYPTED_CLIENT_HELLO: 0xfe0d,
} as const

const READ: ReadonlySet<number> = new Set(Object.values(EXTENSION))
/** Stands for what nobody reads: a view of each extension costs more than all that is done with it. */
const UNREAD = new Uint8Array(0)

export interface ClientHelloMessage {
  /** A DNS name in the one spelling of the host grammar; null where there is no server_name extension. */
  readonly serverName: string | null
  /** Whether the extension is there. GREASE ECH and real ECH look alike, and with real ECH `serverName` is the outer name. */
  readonly ech: boolean
  /** As offered, in Latin-1; empty where there is no ALPN extension. */
  readonly alpn: readonly string[]
  readonly legacyVersion: number
  /** As offered, with unknown ones; empty where there is no such extension, as before TLS 1.3. */
  readonly supportedVersions: readonly number[]
}

/** @throws ClientHelloFault, CutShortError */
export function readClientHelloMessage(body: Uint8Array): ClientHelloMessage {
  const reader = new ByteReader(body)
  const legacyVersion = reader.uint16()
  // A number above TLS 1.2 is not refused: version tolerance is the server's duty (RFC 8446 §4.1.2). SSL 3.0 is.
  if (legacyVersion < 0x0301 || legacyVersion > 0x03ff) {
    throw new ClientHelloFault('version', 'the version is not a TLS version')
  }
  reader.skip(RANDOM_BYTES)
  if (reader.skip(reader.uint8()) > MAX_SESSION_ID) {
    throw new ClientHelloFault('session-id', `the session id is longer than ${MAX_SESSION_ID} bytes`)
  }
  const suites = reader.skip(reader.uint16())
  if (suites === 0 || suites % 2 !== 0) {
    throw new ClientHelloFault('cipher-suites', 'the list of cipher suites is empty or of odd length')
  }
  // Every version demands that "null" be among them.
  if (!reader.vector8().includes(0)) throw new ClientHelloFault('compression', 'no null compression method')
  const extensions = reader.left === 0 ? new Map<number, Uint8Array>() : readExtensions(reader.vector16())
  if (reader.left > 0) throw new ClientHelloFault('trailing-bytes', 'bytes behind the extensions')
  return { ...readKnown(extensions), legacyVersion }
}

function readExtensions(block: Uint8Array): Map<number, Uint8Array> {
  const reader = new ByteReader(block)
  const extensions = new Map<number, Uint8Array>()
  while (reader.left > 0) {
    const type = reader.uint16()
    const length = reader.uint16()
    const data = READ.has(type) ? reader.take(length) : UNREAD
    if (data === UNREAD) reader.skip(length)
    // Of an unknown type too (RFC 8446 §4.2): of two, the server may read the other one.
    if (extensions.has(type)) throw new ClientHelloFault('extension-twice', 'an extension comes twice')
    extensions.set(type, data)
  }
  return extensions
}

function readKnown(extensions: ReadonlyMap<number, Uint8Array>): Omit<ClientHelloMessage, 'legacyVersion'> {
  const serverName = extensions.get(EXTENSION.SERVER_NAME)
  const alpn = extensions.get(EXTENSION.ALPN)
  const versions = extensions.get(EXTENSION.SUPPORTED_VERSIONS)
  return {
    serverName: serverName === undefined ? null : readServerName(serverName),
    ech: extensions.has(EXTENSION.ENCRYPTED_CLIENT_HELLO),
    alpn: alpn === undefined ? [] : readAlpn(alpn),
    supportedVersions: versions === undefined ? [] : readSupportedVersions(versions),
  }
}
