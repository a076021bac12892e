// The five bytes in front of each TLS record (RFC 8446 §5.1), judged one by one as they come, so that what is not TLS is
// told from its first byte.
import { type ClientHelloErrorCode, ClientHelloFault } from './client-hello-error.ts'

const HANDSHAKE = 22
const MAX_FRAGMENT = 2 ** 14

const OTHER_TYPES: ReadonlyMap<number, readonly [ClientHelloErrorCode, string]> = new Map([
  [21, ['alert', 'a TLS alert instead of a ClientHello']],
  [23, ['application-data', 'TLS application data before any handshake']],
])

export class RecordHeader {
  readonly #first: boolean
  #seen = 0
  #high = 0
  #length: number | null = null

  /** `first`: the first record of the stream, where other protocols may show. */
  constructor(first: boolean) {
    this.#first = first
  }

  /** Of the fragment behind the header, 1 to 2^14; null until the header is complete. */
  get length(): number | null {
    return this.#length
  }

  /** Takes what belongs to the header and says how much that was. @throws ClientHelloFault */
  push(bytes: Uint8Array): number {
    let taken = 0
    for (const byte of bytes) {
      if (this.#length !== null) break
      this.#take(byte)
      taken += 1
    }
    return taken
  }

  #take(byte: number): void {
    if (this.#seen === 0 && byte !== HANDSHAKE) throw this.#first ? notTls(byte) : notHandshake(byte)
    // The version is no version any more and should be ignored, but these are all that any client ever wrote there, and
    // a wrong one tells what is not TLS.
    if ((this.#seen === 1 && byte !== 3) || (this.#seen === 2 && (byte < 1 || byte > 3))) {
      throw new ClientHelloFault('record-version', 'the record version is not 3.1 to 3.3')
    }
    if (this.#seen === 3) this.#high = byte
    if (this.#seen === 4) this.#length = checkLength(this.#high * 0x100 + byte)
    this.#seen += 1
  }
}

function checkLength(length: number): number {
  if (length === 0) throw new ClientHelloFault('record-empty', 'an empty handshake record')
  if (length > MAX_FRAGMENT) {
    throw new ClientHelloFault('record-too-long', `a record longer than ${MAX_FRAGMENT} bytes`)
  }
  return length
}

/** What speaks instead. The first byte is all there is to tell by: `P` may be POST or PROXY, `S` is likely SSH. */
function notTls(byte: number): ClientHelloFault {
  if (byte === 0x0d) return new ClientHelloFault('proxy-header', 'likely a PROXY protocol v2 header, not TLS')
  if (byte >= 0x80) return new ClientHelloFault('sslv2', 'likely a ClientHello of SSL 2.0, not a TLS record')
  if (byte >= 0x20 && byte < 0x7f) {
    return new ClientHelloFault('plain-text', 'text, such as HTTP, SSH or a PROXY protocol v1 line, not TLS')
  }
  return notHandshake(byte)
}

function notHandshake(type: number): ClientHelloFault {
  const [code, message] = OTHER_TYPES.get(type) ?? ['record-type', 'a record that is no handshake']
  return new ClientHelloFault(code, message)
}
