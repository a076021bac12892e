// Between a client that speaks plaintext MySQL and the TLS to the server, until the client is logged in: greets as a
// server without TLS does, and shifts sequence numbers, of which the SSLRequest took one.
//
// The SSLRequest had to be sent before the client had spoken, with the capabilities of the last client. Where this client
// wants others, the server is reached anew with these, and the client is asked by an AuthSwitchRequest to prove its
// password against the new connection's scramble.
import type { Exchanged, Moves, Translator } from '../adapted-stream.ts'
import { NOTHING } from '../machine.ts'
import type { Reopened } from '../types.ts'
import { type Greeting, plainGreeting } from './greeting.ts'
import {
  errorPacket,
  HEADER_BYTES,
  nulText,
  type Packet,
  PacketError,
  packet,
  readPacket,
} from './packets.ts'
import { type LoginResponse, readLoginResponse, withProof } from './response.ts'

export interface MysqlTranslatorOptions {
  readonly greeting: Greeting
  /** What the SSLRequest said. */
  readonly declared: Buffer
  /** Called with what the client's login says where that is something else. */
  readonly learn: (prefix: Buffer) => void
  /** Another connection, of which the SSLRequest says `prefix`. Rejects with an UpstreamError. */
  readonly again: (prefix: Buffer) => Promise<{ readonly greeting: Greeting; readonly reopened: Reopened }>
}

/** A login holds up to 64 KiB of attributes; proofs of Kerberos are as long. */
const MAX_LOGIN_BYTES = 0x2_0000
const OK = 0x00
const MORE_DATA = 0x01
const SWITCH = 0xfe
const ERROR = 0xff
const NATIVE = 'mysql_native_password'
const CACHING_SHA2 = 'caching_sha2_password'
const SHA256 = 'sha256_password'
/** caching_sha2_password: "I do not know this password's hash; prove it in full". */
const FULL_PROOF = Buffer.from([MORE_DATA, 4])
/** Both prove the password against the 20 bytes of a greeting. */
const SCRAMBLED: ReadonlySet<string> = new Set([NATIVE, CACHING_SHA2])

const BAD_HANDSHAKE = 1043
const PLUGIN_ERROR = 2061
const IN_FULL = `${CACHING_SHA2} wants the password itself inside TLS, which a client that speaks plaintext to the gateway does not send; let the client speak TLS to the server (tls: passthrough), or give the user another plugin`
const PLAIN_PASSWORD = `${SHA256} wants the password itself inside TLS, which a client that speaks plaintext to the gateway does not send; let the client speak TLS to the server (tls: passthrough), or give the user another plugin`

type State =
  /** The client's login is next. */
  | { readonly at: 'login' }
  /** The server is reached anew. */
  | { readonly at: 'exchange' }
  /** The client proves its password again. */
  | { readonly at: 'proof'; readonly login: LoginResponse; readonly plugin: string }
  /** The server decides; `shift` is what is added to the client's sequence numbers. */
  | { readonly at: 'decision'; readonly shift: 1 | -1 }

export class MysqlTranslator implements Translator {
  readonly #options: MysqlTranslatorOptions
  #client: Buffer = NOTHING
  #server: Buffer = NOTHING
  #state: State = { at: 'login' }
  #plugin = ''
  /** The next sequence number that the client expects. */
  #next = 0

  constructor(options: MysqlTranslatorOptions) {
    this.#options = options
  }

  start(): Moves {
    this.#next = 1
    return { toClient: plainGreeting(this.#options.greeting) }
  }

  fromClient(bytes: Buffer): Moves {
    this.#client = Buffer.concat([this.#client, bytes])
    const toServer: Buffer[] = []
    for (;;) {
      if (this.#state.at === 'exchange') break
      const given = read(this.#client)
      if (given === null) break
      if (given === 'bad') return { ...this.#refuseHandshake(), toServer: Buffer.concat(toServer) }
      this.#client = this.#client.subarray(given.bytes.length)
      this.#next = (given.sequence + 1) & 0xff
      const moves = this.#given(given, this.#state)
      if (!Buffer.isBuffer(moves)) return { ...moves, toServer: Buffer.concat(toServer) }
      toServer.push(moves)
    }
    if (this.#client.length > MAX_LOGIN_BYTES + HEADER_BYTES) return this.#refuseHandshake()
    return { toServer: Buffer.concat(toServer) }
  }

  fromServer(bytes: Buffer): Moves {
    this.#server = Buffer.concat([this.#server, bytes])
    const toClient: Buffer[] = []
    for (let told = read(this.#server); told !== null; told = read(this.#server)) {
      // Servers say nothing between greeting and login but that they have had enough.
      const shift = this.#state.at === 'decision' ? this.#state.shift : 1
      const kind = told === 'bad' ? ERROR : told.payload[0]
      if (told === 'bad' || kind === OK || kind === ERROR) return this.#decided(told, shift, toClient)
      this.#server = this.#server.subarray(told.bytes.length)
      const refusal = this.#judge(told)
      if (refusal !== null) return { ...refusal, toClient: Buffer.concat([...toClient, refusal.toClient]) }
      toClient.push(this.#shifted(told, shift))
    }
    return { toClient: Buffer.concat(toClient) }
  }

  serverEnded(): Moves {
    const toClient = this.#server
    this.#server = NOTHING
    return { toClient }
  }

  /** What goes up of a packet of the client, or what happens instead. */
  #given(given: Packet, state: Exclude<State, { at: 'exchange' }>): Buffer | Moves {
    if (state.at === 'login') return this.#login(given)
    if (state.at === 'decision') return packet(given.sequence + state.shift, given.payload)
    const payload = withProof(state.login, state.plugin, given.payload)
    if (payload === null) return this.#refuseHandshake()
    this.#state = { at: 'decision', shift: -1 }
    return packet(2, payload)
  }

  #login({ payload, sequence }: Packet): Buffer | Moves {
    const login = readLoginResponse(payload)
    if (login === null || sequence !== 1) return this.#refuseHandshake()
    this.#plugin = login.plugin ?? NATIVE
    if (this.#plugin === SHA256) return this.#refuse(PLUGIN_ERROR, 'HY000', PLAIN_PASSWORD)
    if (login.prefix.equals(this.#options.declared)) {
      this.#state = { at: 'decision', shift: 1 }
      return packet(2, Buffer.concat([login.prefix, payload.subarray(login.prefix.length)]))
    }
    this.#options.learn(login.prefix)
    // The next attempt is right, since what it needs is known now.
    if (login.plugin === null) return this.#refuseHandshake('; please try again')
    this.#state = { at: 'exchange' }
    return { exchange: () => this.#exchange(login) }
  }

  async #exchange(login: LoginResponse): Promise<Exchanged> {
    const { greeting, reopened } = await this.#options.again(login.prefix)
    const plugin = SCRAMBLED.has(this.#plugin) ? this.#plugin : NATIVE
    this.#plugin = plugin
    this.#state = { at: 'proof', login, plugin }
    const question = Buffer.concat([
      Buffer.from([SWITCH]),
      Buffer.from(`${plugin}\0`, 'latin1'),
      greeting.scramble,
      Buffer.from([0]),
    ])
    return { reopened, toClient: packet(this.#next, question) }
  }

  /** The last packet of the login; behind it both sides count from 0 again. */
  #decided(told: Packet | 'bad', shift: 1 | -1, toClient: Buffer[]): Moves {
    if (told !== 'bad') {
      this.#server = this.#server.subarray(told.bytes.length)
      toClient.push(this.#shifted(told, shift))
    }
    toClient.push(this.#server)
    const moves = { toServer: this.#client, toClient: Buffer.concat(toClient) }
    this.#server = NOTHING
    this.#client = NOTHING
    return { ...moves, transparent: 'both' }
  }

  /** Null = the client can answer it. */
  #judge({ payload }: Packet): Refusal | null {
    if (payload[0] === SWITCH && payload.length > 1) {
      this.#plugin = nulText(payload, 1)?.text ?? payload.toString('latin1', 1)
      if (this.#plugin === SHA256) return this.#refuse(PLUGIN_ERROR, 'HY000', PLAIN_PASSWORD)
    }
    const inFull = this.#plugin === CACHING_SHA2 && payload.equals(FULL_PROOF)
    return inFull ? this.#refuse(PLUGIN_ERROR, 'HY000', IN_FULL) : null
  }

  #shifted({ sequence, payload }: Packet, shift: 1 | -1): Buffer {
    this.#next = (sequence - shift + 1) & 0xff
    return packet(sequence - shift, payload)
  }

  #refuseHandshake(more = ''): Refusal {
    return this.#refuse(BAD_HANDSHAKE, '08S01', `Bad handshake${more}`)
  }

  /** Told as the server's own error, since that is what a client of MySQL can show. */
  #refuse(code: number, sqlState: string, text: string): Refusal {
    return { toClient: errorPacket(this.#next, code, sqlState, text), instead: () => Promise.resolve() }
  }
}

type Refusal = Moves & { readonly toClient: Buffer }

function read(bytes: Buffer): Packet | null | 'bad' {
  try {
    return readPacket(bytes, MAX_LOGIN_BYTES)
  } catch (error) {
    if (error instanceof PacketError) return 'bad'
    throw error
  }
}
