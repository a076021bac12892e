// Every way in which a server's TLS can be wrong, each by a real server that is wrong in this way.
import 'reflect-metadata'
import type tls from 'node:tls'
import * as x509 from '@peculiar/x509'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import type { UpstreamRequest } from '../../../gateway/upstream/types.ts'
import { createRoot, type Issued, type LeafOptions } from '../../fixtures/pki.ts'
import {
  clientCertificate,
  createPki,
  HOST,
  type Listening,
  type Pki,
  refused,
  request,
  tcpServer,
  tlsServer,
} from './harness.ts'

let pki: Pki
beforeAll(async () => {
  pki = await createPki()
})

interface Case {
  readonly server: () => Promise<Listening>
  readonly destination?: () => Partial<Destination>
  readonly rest?: Partial<UpstreamRequest>
  readonly code: string
  readonly detail?: RegExp
}

const HOUR = 3_600_000
const ago = (hours: number): Date => new Date(Date.now() - hours * HOUR)
const with_ = (leaf: LeafOptions, options: tls.TlsOptions = {}) => {
  return async () => tlsServer(await pki.servers.issue(leaf), options)
}
const good = (options: () => tls.TlsOptions = () => ({})) => {
  return async () => tlsServer(pki.server, options())
}
const presenting = () => ({ clientCertificates: [clientCertificate(pki.client)] })

const CASES: Record<string, Case> = {
  'an expired certificate': {
    server: with_({ dns: [HOST], notBefore: ago(3), notAfter: ago(1) }),
    code: 'upstream-tls-certificate-expired',
    detail: /^the server's certificate \(a name without a subject\) expired at .*Z \(CERT_HAS_EXPIRED\)$/,
  },
  'an expired issuing CA': {
    server: async () => {
      const issuing = await pki.servers.subordinate({ name: 'issuing', notBefore: ago(3), notAfter: ago(1) })
      return tlsServer(await issuing.issue({ dns: [HOST] }))
    },
    code: 'upstream-tls-certificate-expired',
    detail: /^a CA in its chain \(CN=issuing\) expired at .*Z \(CERT_HAS_EXPIRED\)$/,
  },
  'a certificate from the future': {
    server: with_({ cn: 'tomorrow', dns: [HOST], notBefore: ago(-1), notAfter: ago(-2) }),
    code: 'upstream-tls-certificate-not-yet-valid',
    detail: /^the server's certificate \(CN=tomorrow\) is not valid before .*Z/,
  },
  'an issuing CA from the future': {
    server: async () => {
      const issuing = await pki.servers.subordinate({ name: 'issuing', notBefore: ago(-1) })
      return tlsServer(await issuing.issue({ dns: [HOST] }))
    },
    code: 'upstream-tls-certificate-not-yet-valid',
    detail: /^a CA in its chain \(CN=issuing\) is not valid before .*Z/,
  },
  'a certificate of an unknown CA': {
    server: async () => tlsServer(await pki.strangers.issue({ dns: [HOST] })),
    code: 'upstream-tls-certificate-untrusted',
    detail: /^the issuer \(CN=strangers\) was not sent by the server and is no root of the destination/,
  },
  'a chain that ends in another root': {
    server: async () => {
      const leaf = await pki.strangers.issue({ dns: [HOST] })
      return tlsServer({ ...leaf, chainPem: leaf.chainPem + pki.strangers.pem })
    },
    code: 'upstream-tls-certificate-untrusted',
    detail: /^the server's chain ends in a root \(CN=strangers\) that is none of the destination's/,
  },
  'a CA of the same name and another key': {
    server: async () => tlsServer(await (await createRoot({ name: 'servers' })).issue({ dns: [HOST] })),
    code: 'upstream-tls-certificate-untrusted',
  },
  'a private CA where the system’s roots are meant': {
    server: good(),
    destination: () => ({ roots: 'system' }),
    code: 'upstream-tls-certificate-untrusted',
  },
  'an issuing CA that the server does not send': {
    server: async () => {
      const issuing = await pki.servers.subordinate({ name: 'issuing' })
      const leaf = await issuing.issue({ dns: [HOST] })
      return tlsServer({ ...leaf, chainPem: leaf.pem })
    },
    code: 'upstream-tls-certificate-untrusted',
    detail: /^the issuer \(CN=issuing\) was not sent by the server/,
  },
  'a self-signed certificate': {
    server: async () => tlsServer(await selfSigned()),
    code: 'upstream-tls-certificate-untrusted',
    detail: /^the server's certificate \(CN=api\.bank\.example\) is self-signed and is no root/,
  },
  'a certificate for clients alone': {
    server: with_({ dns: [HOST], eku: ['1.3.6.1.5.5.7.3.2'] }),
    code: 'upstream-tls-certificate-refused',
    detail: /unsuitable certificate purpose/,
  },
  'a certificate for another name': {
    server: with_({ dns: ['other.example', 'www.other.example'] }),
    code: 'upstream-tls-name-mismatch',
    detail: /^api\.bank\.example: the certificate is for DNS:other\.example, DNS:www\.other\.example$/,
  },
  'a certificate with the name in the CN alone': {
    server: with_({ cn: HOST, ips: ['127.0.0.1'] }),
    code: 'upstream-tls-name-mismatch',
  },
  'a certificate for the host where serverName is another': {
    server: good(),
    destination: () => ({ serverName: 'internal.bank.example' }),
    code: 'upstream-tls-name-mismatch',
  },
  'an IP address that the certificate does not have': {
    server: with_({ dns: [HOST, '127.0.0.1'] }),
    rest: { host: '127.0.0.1' },
    code: 'upstream-tls-name-mismatch',
  },
  'a key that is not pinned': {
    server: good(),
    destination: () => ({ pins: ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='] }),
    code: 'upstream-tls-pin-mismatch',
  },
  'TLS 1.2 where 1.3 is the least': {
    server: good(() => ({ maxVersion: 'TLSv1.2' })),
    destination: () => ({ minVersion: 'TLSv1.3' }),
    code: 'upstream-tls-protocol',
  },
  'TLS 1.1 alone': {
    server: good(() => ({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })),
    code: 'upstream-tls-protocol',
  },
  'no cipher in common': {
    server: good(() => ({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' })),
    code: 'upstream-tls-cipher',
  },
  'no cipher of TLS 1.3 in common': {
    server: good(() => ({ minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_CCM_SHA256' })),
    code: 'upstream-tls-cipher',
  },
  'no group in common': {
    server: good(() => ({ ecdhCurve: 'brainpoolP256r1' })),
    code: 'upstream-tls-cipher',
  },
  'no ALPN protocol in common': {
    server: good(() => ({ ALPNProtocols: ['h2'] })),
    destination: () => ({ alpn: ['imap'] }),
    code: 'upstream-tls-alpn',
    detail: /alert 120/,
  },
  'a server that does not negotiate ALPN': {
    server: good(),
    destination: () => ({ alpn: ['h2', 'http/1.1'] }),
    code: 'upstream-tls-alpn',
    detail: /^the server selected none of h2, http\/1\.1$/,
  },
  'an HTTP server': {
    server: () =>
      tcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))),
    code: 'upstream-tls-plaintext',
  },
  'a server that speaks first': {
    server: () => tcpServer((socket) => socket.resume().write('220 mail.example ESMTP\r\n')),
    code: 'upstream-tls-plaintext',
  },
  'a server that closes': {
    server: () => tcpServer((socket) => socket.once('data', () => socket.end())),
    code: 'upstream-tls-closed',
  },
  'a server that resets': {
    server: () => tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
    code: 'upstream-tls-closed',
  },
  'a server that says nothing': {
    server: () => tcpServer((socket) => socket.resume()),
    destination: () => ({ connect: { timeoutMs: 200, attempts: 3, confirmMs: null } }),
    code: 'upstream-tls-timeout',
  },
  ...Object.fromEntries(
    (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version): [string, Case][] => {
      const server = good(() => ({
        minVersion: version,
        maxVersion: version,
        requestCert: true,
        rejectUnauthorized: true,
        ca: pki.strangers.pem,
      }))
      return [
        [
          `${version}: a client certificate is required and none is configured`,
          { server, code: 'upstream-tls-client-certificate-required' },
        ],
        [
          `${version}: the client certificate is refused by a bare close`,
          { server, destination: presenting, code: 'upstream-tls-client-certificate-refused' },
        ],
      ]
    }),
  ),
}

async function selfSigned(): Promise<Issued> {
  const { keys, keyPem } = pki.server
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${HOST}`,
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: HOST }])],
  })
  const pem = certificate.toString('pem')
  return { certificate, keys, keyPem, pem, chainPem: pem }
}

describe('refusals', () => {
  let server: Listening | null = null
  afterEach(async () => {
    await server?.[Symbol.asyncDispose]()
    server = null
  })

  for (const [name, { server: start, destination, rest, code, detail }] of Object.entries(CASES)) {
    test(`${name}: ${code}`, async () => {
      server = await start()
      const { port, connections } = server
      const roots = [pki.servers.pem]
      const error = await refused(request(port, { roots, ...destination?.() }, rest))
      expect({ code: error.code, message: error.message }).toEqual({
        code,
        message: detail === undefined ? expect.any(String) : expect.stringMatching(detail),
      })
      // One attempt: what a server's TLS says is never tried again. And nothing stays open.
      if (!code.includes('client-certificate')) expect(error.facts?.nameProof).toBeNull()
      expect(error.facts).toMatchObject({ attempts: 1, address: `127.0.0.1:${port}` })
      expect(error.timings).toMatchObject({ connectMs: expect.any(Number), tlsMs: expect.any(Number) })
      await expect.poll(connections).toBe(0)
    })
  }

  test('the record of a refused certificate has its digest', async () => {
    const leaf = await pki.servers.issue({ dns: ['other.example'] })
    server = await tlsServer(leaf)
    const error = await refused(request(server.port, { roots: [pki.servers.pem] }))
    const digest = await leaf.certificate.getThumbprint('SHA-256')
    expect(error.facts).toMatchObject({
      certificateSha256: Buffer.from(digest).toString('hex'),
      serverName: HOST,
      tlsVersion: 'TLSv1.3',
    })
  })

  test('NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing', async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    try {
      server = await tlsServer(await pki.strangers.issue({ dns: [HOST] }))
      const error = await refused(request(server.port, { roots: [pki.servers.pem] }))
      expect(error.code).toBe('upstream-tls-certificate-untrusted')
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    }
  })
})
