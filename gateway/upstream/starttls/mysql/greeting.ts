// The server's first packet: HandshakeV10, or an error instead (MySQL internals manual, "Connection Phase Packets").
import { malformed, quote, refused } from '../failures.ts'
import { CAPABILITY, nulText, type Packet, PacketError, packet, readPacket } from './packets.ts'

/** Version, two scrambles, a plugin's name: servers stay far below. */
export const MAX_GREETING_BYTES = 4096
const PROTOCOL_10 = 10
const ERROR = 0xff
const SCRAMBLE_BYTES = 20
const SHORT_SCRAMBLE = 8

export interface Greeting {
  readonly capabilities: number
  /** What a password is proven against, 20 bytes. */
  readonly scramble: Buffer
  readonly payload: Buffer
  /** Of the lower two octets of the capabilities. */
  readonly capabilitiesAt: number
}

/** Null = it is not all there. @throws UpstreamError where it is none, or offers no TLS. */
export function readGreeting(bytes: Buffer): { readonly greeting: Greeting; readonly first: Packet } | null {
  const first = firstPacket(bytes)
  if (first === null) return null
  const { payload, sequence } = first
  if (payload[0] === ERROR)
    throw refused(`the server greeted with an error: ${quote(payload.toString('latin1', 3))}`)
  if (sequence !== 0 || payload[0] !== PROTOCOL_10) throw malformed('the server sent no MySQL greeting')
  const greeting = parse(payload)
  if (greeting === null) throw malformed('the MySQL greeting is cut short')
  if ((greeting.capabilities & CAPABILITY.ssl) === 0)
    throw refused('the server does not offer TLS (CLIENT_SSL)')
  return { greeting, first }
}

function firstPacket(bytes: Buffer): Packet | null {
  try {
    return readPacket(bytes, MAX_GREETING_BYTES)
  } catch (error) {
    throw error instanceof PacketError ? malformed(`the server sent ${error.message}`) : error
  }
}

/** Null = cut short, or of a server before 4.1, which proves passwords by 8 bytes and is refused with it. */
function parse(payload: Buffer): Greeting | null {
  const version = nulText(payload, 1)
  if (version === null) return null
  const scrambleAt = version.end + 4
  const capabilitiesAt = scrambleAt + SHORT_SCRAMBLE + 1
  const upperAt = capabilitiesAt + 5
  const secondAt = upperAt + 2 + 1 + 10
  const rest = SCRAMBLE_BYTES - SHORT_SCRAMBLE
  if (payload.length < secondAt + rest) return null
  const scramble = Buffer.concat([
    payload.subarray(scrambleAt, scrambleAt + SHORT_SCRAMBLE),
    payload.subarray(secondAt, secondAt + rest),
  ])
  const capabilities = payload.readUInt16LE(capabilitiesAt) + payload.readUInt16LE(upperAt) * 0x1_0000
  return { capabilities, scramble, payload, capabilitiesAt }
}

/** As a server without TLS greets. */
export function plainGreeting({ payload, capabilitiesAt }: Greeting): Buffer {
  const copy = Buffer.from(payload)
  copy.writeUInt16LE(copy.readUInt16LE(capabilitiesAt) & ~CAPABILITY.ssl, capabilitiesAt)
  return packet(0, copy)
}
