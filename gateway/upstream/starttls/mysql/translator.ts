// Between a client that speaks plaintext MySQL and the TLS to the server, until the client is logged in: greets as a
// server without TLS does, and shifts sequence numbers, of which the SSLRequest took one.
//
// The SSLRequest had to be sent before the client had spoken, with the capabilities of the last client. Where this client
// wants others, the server is reached anew with these, and the client is asked by an AuthSwitchRequest to prove its
// password against the new connection's scramble.
import type { Moves, Translator } from '../adapted-stream.ts'
import { NOTHING } from '../machine.ts'
import { type Greeting, plainGreeting } from './greeting.ts'
import { errorPacket, nulText, type Packet, PacketError, packet, readPacket } from './packets.ts'
import { encrypted, type LoginResponse, readLoginResponse, withProof } from './response.ts'

export interface MysqlTranslatorOptions {
  readonly greeting: Greeting
  /** What the SSLRequest said. */
  readonly declared: Buffer
  /** Called with what the client's login says where that is something else. */
  readonly learn: (prefix: Buffer) => void
  /** Another connection, of which the SSLRequest says `prefix`. Null = this one cannot be exchanged. */
  readonly again: (prefix: Buffer) => Promise<Again>
}

export interface Again {
  readonly greeting: Greeting
  readonly exchange: Moves['exchange']
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
const SCRAMBLED: readonly string[] = [NATIVE, CACHING_SHA2]

const BAD_HANDSHAKE = 1043
const PLUGIN_ERROR = 2061
