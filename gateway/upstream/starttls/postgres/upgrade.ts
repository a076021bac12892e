// The gateway's own SSLRequest to a server of PostgreSQL ("SSL Session Encryption" in its protocol's documentation).
// Exactly one byte answers it; whatever comes with that byte was put there by somebody in the middle (CVE-2021-23222).
import type { Socket } from 'node:net'
import { UpstreamError } from '../../types.ts'
import { printable, UpgradeReader } from '../upgrade-reader.ts'
import { readErrorResponse, REQUEST_BYTES, SSL_REQUEST } from './wire.ts'

/** An ErrorResponse longer than this is told without its text. */
const MAX_ERROR_BYTES = 2_000

/** Resolves where TLS may begin. Rejects with an UpstreamError of an `upstream-starttls-…` code. */
export async function requestTls(raw: Socket): Promise<void> {
  using reader = new UpgradeReader(raw)
  const request = Buffer.alloc(REQUEST_BYTES)
  request.writeUInt32BE(REQUEST_BYTES, 0)
  request.writeUInt32BE(SSL_REQUEST, 4)
  raw.write(request)
  const answer = (await reader.take(1)).toString('latin1')
  if (answer === 'S') return
  if (answer === 'N') throw refused('the server has TLS switched off (N to SSLRequest)')
  if (answer === 'E') throw refused(await readError(reader))
  throw new UpstreamError('upstream-starttls-malformed', `"${printable(answer)}" is no answer to SSLRequest`)
}

function refused(detail: string): UpstreamError {
  return new UpstreamError('upstream-starttls-refused', detail)
}

/** Servers too busy or too old to know SSLRequest say so in plaintext, so that anybody may have written it. */
async function readError(reader: UpgradeReader): Promise<string> {
  const length = (await reader.take(4)).readUInt32BE(0)
  if (length < 4 || length > MAX_ERROR_BYTES) return 'the server answered SSLRequest with an error'
  const said = readErrorResponse(await reader.take(length - 4))
  return said === null
    ? 'the server answered SSLRequest with an error'
    : `the server says: ${printable(said)}`
}
