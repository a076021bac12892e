// What a client logs in with: HandshakeResponse41, whose first 32 bytes are what an SSLRequest consists of. Servers of
// MySQL take capabilities and character set from the SSLRequest alone (sql_authentication.cc,
// parse_client_handshake_packet), so both must say the same or the two would read the session's packets differently.
import { CAPABILITY, nulText } from './packets.ts'

export const PREFIX_BYTES = 32

export interface LoginResponse {
  /** Capabilities, greatest packet, character set, filler with MariaDB's capabilities; CLIENT_SSL is set. */
  readonly prefix: Buffer
  /** `user\0`. */
  readonly user: Buffer
  readonly proof: Buffer
  /** `database\0`, or nothing. */
  readonly database: Buffer
  /** Null = the client knows of no plugins, and can be asked for no other proof. */
  readonly plugin: string | null
  /** Connection attributes and whatever comes behind them. */
  readonly rest: Buffer
}

/** Null = it is none. */
export function readLoginResponse(payload: Buffer): LoginResponse | null {
  if (payload.length < PREFIX_BYTES) return null
  const capabilities = payload.readUInt32LE(0)
  if ((capabilities & CAPABILITY.protocol41) === 0) return null
  const user = nulText(payload, PREFIX_BYTES)
  if (user === null) return null
  const proof = proofAt(payload, user.end, capabilities)
  if (proof === null) return null
  const database = (capabilities & CAPABILITY.connectWithDb) === 0 ? null : nulText(payload, proof.end)
  const databaseEnd = database?.end ?? proof.end
  const plugin = (capabilities & CAPABILITY.pluginAuth) === 0 ? null : nulText(payload, databaseEnd)
  return {
    prefix: encrypted(payload.subarray(0, PREFIX_BYTES)),
    user: payload.subarray(PREFIX_BYTES, user.end),
    proof: payload.subarray(proof.start, proof.end),
    database: payload.subarray(proof.end, databaseEnd),
    plugin: plugin?.text ?? null,
    rest: payload.subarray(plugin?.end ?? databaseEnd),
  }
}

/** The client's answer to the password question, within the payload. */
function proofAt(payload: Buffer, at: number, capabilities: number): { start: number; end: number } | null {
  const length = payload[at]
  if (length === undefined) return null
  const long = (capabilities & CAPABILITY.pluginAuthLenenc) !== 0
  if (!long && (capabilities & CAPABILITY.secureConnection) === 0) return null
  // A length-encoded integer; no proof has 64 KiB.
  if (long && length > 0xfc) return null
  const isLong = long && length === 0xfc
  if (isLong && payload.length < at + 3) return null
  const start = at + (isLong ? 3 : 1)
  const end = start + (isLong ? payload.readUInt16LE(at + 1) : length)
  return end > payload.length ? null : { start, end }
}

/** The same login with another proof, by another plugin. Null = the client's form has no room for the proof. */
export function withProof(response: LoginResponse, plugin: string, proof: Buffer): Buffer | null {
  const { prefix, user, database, rest } = response
  const long = (prefix.readUInt32LE(0) & CAPABILITY.pluginAuthLenenc) !== 0
  if (proof.length > (long ? 0xffff : 0xff)) return null
  const length =
    long && proof.length > 0xfa
      ? Buffer.from([0xfc, proof.length & 0xff, proof.length >> 8])
      : Buffer.from([proof.length])
  return Buffer.concat([prefix, user, length, proof, database, Buffer.from(`${plugin}\0`, 'latin1'), rest])
}

/** With CLIENT_SSL set. */
export function encrypted(prefix: Buffer): Buffer {
  const copy = Buffer.from(prefix)
  copy.writeUInt32LE((copy.readUInt32LE(0) | CAPABILITY.ssl) >>> 0, 0)
  return copy
}
