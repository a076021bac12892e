// Linkerd's transport header, encoded by a stock protobuf library from the protocol's schema. Shares no line with the
// gateway's reader.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import protobuf from 'protobufjs'

const SCHEMA = readFileSync(path.join(import.meta.dirname, 'transport-header.proto'), 'utf8')
const HEADER = protobuf.parse(SCHEMA).root.lookupType('transport.l5d.io.Header')

export interface TransportHeader {
  readonly port: number
  readonly name?: string
  readonly sessionProtocol?: 'http1' | 'http2'
}

/** The protobuf message alone. */
export function encodeMessage({ port, name, sessionProtocol }: TransportHeader): Buffer {
  const message = HEADER.fromObject({
    port,
    ...(name === undefined ? {} : { name }),
    ...(sessionProtocol === undefined ? {} : { sessionProtocol: { [sessionProtocol]: {} } }),
  })
  return Buffer.from(HEADER.encode(message).finish())
}

/** As a stock library reads it; absent and empty are one in proto3. */
export function decodeMessage(message: Uint8Array): TransportHeader {
  const { port, name, sessionProtocol } = HEADER.toObject(HEADER.decode(message), {
    defaults: true,
    oneofs: true,
  }) as { port: number; name: string; sessionProtocol: { kind?: 'http1' | 'http2' } | null }
  const kind = sessionProtocol?.kind
  return { port, name, ...(kind === undefined ? {} : { sessionProtocol: kind }) }
}

/** Preface, length and message, as linkerd/transport-header/src/lib.rs `encode_prefaced` puts them. */
export function framed(message: Uint8Array, length = message.length): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(length)
  return Buffer.concat([Buffer.from('transport.l5d.io/v1\r\n\r\n'), size, message])
}

export function encodeTransportHeader(header: TransportHeader): Buffer {
  return framed(encodeMessage(header))
}
