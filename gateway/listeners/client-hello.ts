// Finds the ClientHello in the growing bytes of a TCP stream, across any number of TLS records and segments, and refuses
// at the first byte that decides it. Each byte is looked at once and the message copied together, so that a hello that
// comes byte by byte costs no more than one that comes at once. Trusts nothing. Keeping the bytes is the caller's
// business: they go on to the server as they came.
import { CutShortError } from './byte-reader.ts'
import { type ClientHelloErrorCode, ClientHelloFault } from './client-hello-error.ts'
import { type ClientHelloMessage, readClientHelloMessage } from './client-hello-message.ts'
import { RecordHeader } from './client-hello-record.ts'

/**
 * The handshake message. Today's are 0.5 to 2 KiB, 4 KiB with two post-quantum key shares and ECH. Go's crypto/tls
 * (maxHandshake), rustls (MAX_HANDSHAKE_SIZE) and Envoy's tls_inspector stop at the same size.
 */
export const MAX_HELLO_BYTES = 64 * 1024
/**
 * The records around it, which is also what the caller buffers at most. This, and no count of records, bounds how finely
 * a message may be cut: in records of one byte, six on the wire, a hello of 21 KiB still passes, and MAX_HELLO_BYTES in
 * records of six.
 */
export const MAX_HELLO_WIRE_BYTES = 128 * 1024

const HANDSHAKE_HEADER_BYTES = 4
const CLIENT_HELLO = 1
/** Grown by doubling: a length that a peer claims allocates nothing. */
const FIRST_CAPACITY = 2048
const NOTHING = new Uint8Array(0)

export interface ClientHello extends ClientHelloMessage {
  /** How many bytes of the stream the hello took, record headers included; it ends with a record. */
  readonly recordsLength: number
}

export type ClientHelloResult =
  | { readonly state: 'incomplete' }
  | { readonly state: 'refused'; readonly code: ClientHelloErrorCode; readonly message: string }
  | { readonly state: 'done'; readonly hello: ClientHello }

export class ClientHelloReader {
  #result: ClientHelloResult = { state: 'incomplete' }
  #header = new RecordHeader(true)
  /** Bytes of the stream so far, and those still to come of the record at hand. */
  #consumed = 0
  #recordLeft = 0
  #message: Uint8Array = NOTHING
  #messageLength = 0
  /** With its header; null until that is there. */
  #expected: number | null = null

  /** Takes the next bytes of the stream and says what all of them amount to. Once decided, the answer stays. */
  push(chunk: Uint8Array): ClientHelloResult {
    if (this.#result.state !== 'incomplete') return this.#result
    try {
      let rest = chunk
      while (rest.length > 0 && this.#result.state === 'incomplete') {
        const taken = this.#recordLeft > 0 ? this.#takeFragment(rest) : this.#takeHeader(rest)
        rest = rest.subarray(taken)
      }
    } catch (error) {
      this.#result = toRefusal(error)
    }
    if (this.#result.state !== 'incomplete') this.#message = NOTHING
    return this.#result
  }

  /** Memory held for the message. */
  get bufferedBytes(): number {
    return this.#message.length
  }

  #takeHeader(bytes: Uint8Array): number {
    const taken = this.#header.push(bytes)
    this.#consumed += taken
    const { length } = this.#header
    if (length === null) return taken
    if (this.#consumed + length > MAX_HELLO_WIRE_BYTES) {
      throw new ClientHelloFault('too-many-bytes', `no ClientHello within ${MAX_HELLO_WIRE_BYTES} bytes`)
    }
    this.#recordLeft = length
    this.#checkAlignment()
    this.#header = new RecordHeader(false)
    return taken
  }

  #takeFragment(bytes: Uint8Array): number {
    const fragment = bytes.subarray(0, this.#recordLeft)
    this.#append(fragment)
    this.#consumed += fragment.length
    this.#recordLeft -= fragment.length
    if (this.#message[0] !== CLIENT_HELLO) {
      throw new ClientHelloFault('handshake-type', 'the handshake does not begin with a ClientHello')
    }
    this.#expected ??= this.#readLength()
    this.#checkAlignment()
    if (this.#messageLength === this.#expected) {
      const body = this.#message.subarray(HANDSHAKE_HEADER_BYTES, this.#messageLength)
      const hello = { ...readClientHelloMessage(body), recordsLength: this.#consumed }
      this.#result = { state: 'done', hello }
    }
    return fragment.length
  }

  #readLength(): number | null {
    if (this.#messageLength < HANDSHAKE_HEADER_BYTES) return null
    const length = claimedLength(this.#message)
    if (length > MAX_HELLO_BYTES) {
      throw new ClientHelloFault('too-long', `the ClientHello is longer than ${MAX_HELLO_BYTES} bytes`)
    }
    return length
  }

  /** A ClientHello ends with a record (RFC 8446 §5.1): what shares one with it is no part of the handshake to come. */
  #checkAlignment(): void {
    if (this.#expected !== null && this.#messageLength + this.#recordLeft > this.#expected) {
      throw new ClientHelloFault('trailing-bytes', 'bytes behind the ClientHello in its last record')
    }
  }

  #append(fragment: Uint8Array): void {
    // A message that comes whole, as nearly all do, is read where it stands.
    if (this.#messageLength === 0 && isWhole(fragment)) {
      this.#message = fragment
      this.#messageLength = fragment.length
      return
    }
    const length = this.#messageLength + fragment.length
    if (length > this.#message.length) {
      const wanted = Math.max(length, 2 * this.#message.length, FIRST_CAPACITY)
      const grown = new Uint8Array(Math.min(wanted, MAX_HELLO_BYTES))
      grown.set(this.#message.subarray(0, this.#messageLength))
      this.#message = grown
    }
    this.#message.set(fragment, this.#messageLength)
    this.#messageLength = length
  }
}

function isWhole(message: Uint8Array): boolean {
  return message.length >= HANDSHAKE_HEADER_BYTES && message.length === claimedLength(message)
}

/** What the header says of the whole message, itself included. */
function claimedLength(message: Uint8Array): number {
  const high = message[1] ?? 0
  const middle = message[2] ?? 0
  const low = message[3] ?? 0
  return HANDSHAKE_HEADER_BYTES + high * 0x1_0000 + middle * 0x100 + low
}

function toRefusal(error: unknown): ClientHelloResult {
  if (error instanceof ClientHelloFault) return { state: 'refused', code: error.code, message: error.message }
  if (error instanceof CutShortError) {
    return {
      state: 'refused',
      code: 'malformed',
      message: 'a length in the ClientHello is more than there is',
    }
  }
  throw error
}
