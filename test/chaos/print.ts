// How a certificate that was seen on a connection is named: as audit records do.
import { createHash } from 'node:crypto'
import type tls from 'node:tls'

/** SHA-256 over the DER of what the other end showed. */
export function printOf(socket: tls.TLSSocket): string | null {
  const der = socket.getPeerX509Certificate()?.raw
  return der === undefined ? null : createHash('sha256').update(der).digest('hex')
}

/** The same of one that was issued. */
export function printOfDer(der: ArrayBuffer): string {
  return createHash('sha256').update(Buffer.from(der)).digest('hex')
}
