// Judges what a client sends first through a tunnel to a `tls: passthrough` destination: the plain preamble of a declared
// startTls, message by message, and then a ClientHello whose server name must be the host that was asked for. A pure state
// machine over the bytes of both sides; trusts neither. Until it says `proven` no byte but the preamble's may go up.
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import { type ClientHello, ClientHelloReader } from '../listeners/client-hello.ts'
import { isNotTls } from '../listeners/client-hello-error.ts'
import type { Preamble, PreambleStep } from '../upstream/starttls/types.ts'
import { HeldBytes } from './held-bytes.ts'

/** Of either side before TLS. Greetings and capabilities come to some KiB; the protocol's own machine is stricter. */
export const MAX_PREAMBLE_BYTES = 64 * 1024

export interface InnerHelloOptions {
  /** Canonical: the host that was decided about and dialled. */
  readonly host: string
  readonly destination: Pick<Destination, 'serverNames' | 'nameProof' | 'ech'>
  /** Of the destination's startTls; null = TLS from the first byte. */
  readonly preamble: Preamble | null
}

export interface ProofStep {
  /** What may be passed on now, in this order; empty once the proof is made or has failed. */
  readonly toServer: Buffer
  readonly toClient: Buffer
  readonly next: ProofNext
}

export type ProofNext =
  | { readonly kind: 'more' }
  /** `serverName` null: there was none and none was needed. `held` is all that the client sent and that has not gone up. */
  | { readonly kind: 'proven'; readonly serverName: string | null; readonly held: Buffer }
  | { readonly kind: 'refused'; readonly code: ReasonCode; readonly detail: string | null }

type Refused = Extract<ProofNext, { kind: 'refused' }>

const NOTHING: Buffer = Buffer.alloc(0)
const MORE: ProofNext = { kind: 'more' }

export class InnerHello {
  readonly #options: InnerHelloOptions
  readonly #reader = new ClientHelloReader()
  /** Of the client, not gone up: the part of a plain message, and the hello with what follows it. */
  readonly #held = new HeldBytes()
  readonly #plain = { client: 0, server: 0 }
  /** Null once TLS may begin. */
  #preamble: Preamble | null

  constructor(options: InnerHelloOptions) {
    this.#options = options
    this.#preamble = options.preamble
  }

  fromClient(chunk: Buffer): ProofStep {
    this.#held.append(chunk)
    if (this.#preamble === null) return only(this.#readHello(chunk))
    const tooMuch = this.#count('client', chunk)
    if (tooMuch !== null) return only(tooMuch)
    const step = this.#preamble.fromClient(chunk)
    return this.#follow(step, 'client')
  }

  fromServer(chunk: Buffer): ProofStep {
    if (this.#preamble === null) {
      const detail =
        this.#options.preamble === null
          ? 'the server spoke before the client’s ClientHello'
          : 'the server spoke between its agreement to TLS and the client’s ClientHello'
      return only({ kind: 'refused', code: 'request-server-first', detail })
    }
    const tooMuch = this.#count('server', chunk)
    if (tooMuch !== null) return only(tooMuch)
    return this.#follow(this.#preamble.fromServer(chunk), 'server')
  }

  #count(from: 'client' | 'server', chunk: Buffer): Refused | null {
    this.#plain[from] += chunk.length
    if (this.#plain[from] <= MAX_PREAMBLE_BYTES) return null
    const detail = `more than ${MAX_PREAMBLE_BYTES} bytes of the ${from} before TLS`
    return { kind: 'refused', code: 'request-start-tls', detail }
  }

  #follow({ toServer, toClient, next }: PreambleStep, from: 'client' | 'server'): ProofStep {
    if (typeof next === 'object') return only({ kind: 'refused', ...next })
    this.#held.drop(toServer.length)
    if (next === 'plain') return { toServer, toClient, next: MORE }
    this.#preamble = null
    // Whatever the client sent before the server agreed was plaintext, and as TLS it would be smuggled in (CVE-2011-0411).
    if (from === 'server' && this.#held.length > 0) {
      const detail = 'bytes of the client before the server had agreed to TLS'
      return only({ kind: 'refused', code: 'request-start-tls', detail })
    }
    if (this.#held.length === 0) return { toServer, toClient, next: MORE }
    // The client begins with TLS at once, as its protocol allows: what it has sent is the hello already.
    const judged = this.#readHello(this.#held.all)
    return judged.kind === 'refused' ? only(judged) : { toServer, toClient, next: judged }
  }

  #readHello(chunk: Buffer): ProofNext {
    const result = this.#reader.push(chunk)
    if (result.state === 'incomplete') return MORE
    if (result.state === 'refused') {
      const code = isNotTls(result.code) ? 'name-not-tls' : 'name-hello-malformed'
      return { kind: 'refused', code, detail: result.message }
    }
    const refusal = judgeHello(result.hello, this.#options)
    if (refusal !== null) return refusal
    return { kind: 'proven', serverName: result.hello.serverName, held: this.#held.all }
  }
}

/**
 * Why a ClientHello does not prove `host`; null where it does. Security: both names are in the one spelling of the host
 * grammar and are compared whole; a name that is merely covered by another pattern of the destination was not the one
 * that policy was asked about.
 */
export function judgeHello(
  { serverName, ech }: Pick<ClientHello, 'serverName' | 'ech'>,
  { host, destination }: Pick<InnerHelloOptions, 'host' | 'destination'>,
): Refused | null {
  if (ech && destination.ech === 'refuse') return { kind: 'refused', code: 'request-ech', detail: null }
  if (serverName === null) {
    if (destination.nameProof === 'whenPresent') return null
    return { kind: 'refused', code: 'name-missing', detail: `${host} was asked for` }
  }
  if (serverName === host || destination.serverNames.includes(serverName)) return null
  return {
    kind: 'refused',
    code: 'name-mismatch',
    detail: `the ClientHello names ${serverName}, and ${host} was asked for`,
  }
}

function only(next: ProofNext): ProofStep {
  return { toServer: NOTHING, toClient: NOTHING, next }
}
