// Packets of the MySQL protocol before and while a client logs in: three octets of length, a sequence number, the
// payload. Taken whole and within a limit, or not at all.

export const HEADER_BYTES = 4

export class PacketError extends Error {}

export interface Packet {
  readonly sequence: number
  readonly payload: Buffer
  /** With its header. */
  readonly bytes: Buffer
}

/** The first packet of `bytes`; null = it is not all there. @throws PacketError */
export function readPacket(bytes: Buffer, maxPayload: number): Packet | null {
  if (bytes.length < HEADER_BYTES) return null
  const length = bytes.readUIntLE(0, 3)
  if (length === 0) throw new PacketError('an empty packet')
  if (length > maxPayload) throw new PacketError(`a packet of more than ${maxPayload} bytes`)
  const end = HEADER_BYTES + length
  if (bytes.length < end) return null
  return {
    sequence: bytes.readUInt8(3),
    payload: bytes.subarray(HEADER_BYTES, end),
    bytes: bytes.subarray(0, end),
  }
}

export function packet(sequence: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEADER_BYTES)
  head.writeUIntLE(payload.length, 0, 3)
  head.writeUInt8(sequence & 0xff, 3)
  return Buffer.concat([head, payload])
}

/** `sqlState` null = none, as servers send an error before they know what the client understands. */
export function errorPacket(sequence: number, code: number, sqlState: string | null, text: string): Buffer {
  const head = Buffer.alloc(3)
  head.writeUInt8(0xff, 0)
  head.writeUInt16LE(code, 1)
  return packet(
    sequence,
    Buffer.concat([head, Buffer.from(`${sqlState === null ? '' : `#${sqlState}`}${text}`, 'latin1')]),
  )
}

export const CAPABILITY = {
  connectWithDb: 0x8,
  protocol41: 0x200,
  ssl: 0x800,
  secureConnection: 0x8000,
  pluginAuth: 0x8_0000,
  pluginAuthLenenc: 0x20_0000,
} as const

/** `text\0` at `start`, and where it ends; null = there is no NUL. */
export function nulText(
  bytes: Buffer,
  start: number,
): { readonly text: string; readonly end: number } | null {
  const nul = start > bytes.length ? -1 : bytes.indexOf(0, start)
  return nul === -1 ? null : { text: bytes.toString('latin1', start, nul), end: nul + 1 }
}
