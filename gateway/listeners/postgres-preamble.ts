// What a PostgreSQL client says before TLS (protocol documentation, "SSL Session Encryption" and "Message Formats"): an
// SSLRequest, which is answered by `S`; before it maybe a GSSENCRequest, which is answered by `N`. A client of version 17
// may begin with TLS at once. Plaintext start-up is refused in the protocol's own words, and a byte that comes with the
// request, before our `S`, would be plaintext smuggled into the encrypted session (CVE-2021-23214's class).
import type net from 'node:net'
import { ArrivalError } from './arrival/arrival.ts'
import type { RawReader } from './arrival/raw-reader.ts'

const SSL_REQUEST = 80_877_103
const GSSENC_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
const REQUEST_BYTES = 8
const HANDSHAKE_RECORD = 0x16
/** SSLRequest after a refused GSSENCRequest: more than one of each is no client. */
const MAX_REQUESTS = 2

/** Gives the first bytes of the ClientHello. @throws ArrivalError, ConnectionGoneError */
export async function postgresPreamble(raw: net.Socket, reader: RawReader, first: Buffer): Promise<Buffer> {
  let bytes = first
  for (let count = 0; count < MAX_REQUESTS; count++) {
    if (bytes[0] === HANDSHAKE_RECORD) return bytes
    while (bytes.length < REQUEST_BYTES) bytes = Buffer.concat([bytes, await reader.next()])
    const code = bytes.readUInt32BE(4)
    const exact = bytes.readUInt32BE(0) === REQUEST_BYTES && bytes.length === REQUEST_BYTES
    if (code === SSL_REQUEST && exact) {
      raw.write('S')
      return reader.next()
    }
    if (code !== GSSENC_REQUEST || !exact) throw refuse(code)
    raw.write('N')
    bytes = await reader.next()
  }
  throw refuse(0)
}

function refuse(code: number): ArrivalError {
  if (code === CANCEL_REQUEST) {
    return new ArrivalError('request-start-tls', 'a CancelRequest without TLS')
  }
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    return new ArrivalError('request-start-tls', 'bytes came with the request for encryption')
  }
  // 08P01 protocol_violation would be the client's fault to look for; 28000 is what pg_hba.conf gives.
  const message = 'this port takes TLS with a client certificate alone: sslmode=verify-full'
  return new ArrivalError(
    'request-start-tls',
    'the client began without TLS',
    errorResponse('28000', message),
  )
}

/** ErrorResponse with severity FATAL; fields end with a NUL each, the list with another. */
export function errorResponse(sqlState: string, message: string): Buffer {
  const fields = [`SFATAL`, `VFATAL`, `C${sqlState}`, `M${message}`].map((field) => `${field}\0`).join('')
  const body = Buffer.from(`${fields}\0`, 'utf8')
  const head = Buffer.alloc(5)
  head.write('E', 'latin1')
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
