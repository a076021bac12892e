// The partner in the local story: an HTTPS server that takes nobody without a client certificate of its own CA, and
// answers with what it saw, so that the reader sees which certificate really arrived.
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { PartnerPki } from './partner-pki.ts'

export interface Partner {
  readonly port: number
  close(): Promise<void>
}

/** What the partner answers, as JSON. */
export interface PartnerAnswer {
  readonly hello: string
  readonly clientCertificate: { readonly subject: string; readonly issuer: string }
  readonly tls: string | null
}

/** Listens on loopback alone. */
export async function startPartner(pki: PartnerPki, port: number): Promise<Partner> {
  const server = https.createServer(
    {
      cert: pki.server.certificatePem,
      key: pki.server.keyPem,
      ca: pki.caPem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const socket = request.socket as TLSSocket
      const seen = socket.getPeerX509Certificate()
      const answer: PartnerAnswer = {
        hello: 'from the partner',
        clientCertificate: { subject: oneLine(seen?.subject), issuer: oneLine(seen?.issuer) },
        tls: socket.getProtocol(),
      }
      response.setHeader('Content-Type', 'application/json')
      response.end(`${JSON.stringify(answer)}\n`)
    },
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Node prints a distinguished name with one attribute a line. */
function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ')
}
