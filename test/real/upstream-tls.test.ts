// Foreign TLS servers, OpenSSL's and GnuTLS's, behind the way out: sessions are resumed with them, and what is wrong with
// them is told apart as it is with Node's own.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Destination } from '../../gateway/config/types.ts'
import { createDial } from '../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../gateway/upstream/open.ts'
import type { OpenUpstream } from '../../gateway/upstream/types.ts'
import { freePort, needProgram, startProgram } from '../fixtures/process.ts'
import {
  clientCertificate,
  createPki,
  destination,
  opened,
  type Pki,
  readSome,
  refused,
  request,
} from '../integration/upstream/harness.ts'

let pki: Pki
let directory: string
beforeAll(async () => {
  pki = await createPki()
  directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-upstream-'))
  const files = {
    'leaf.pem': pki.server.pem,
    'key.pem': pki.server.keyPem,
    'clients.pem': pki.clients.pem,
    'strangers.pem': pki.strangers.pem,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const file = (name: string) => path.join(directory, name)
const wayOut = (): OpenUpstream =>
  createOpenUpstream({ resolve: async () => ['127.0.0.1'], dial: createDial() })
const at = (more: Partial<Destination> = {}) => destination({ roots: [pki.servers.pem], ...more })
const presenting = () => ({ clientCertificates: [clientCertificate(pki.client)] })

/** Sends each line back, reversed. */
async function openssl(...more: readonly string[]) {
  const port = await freePort()
  const shown = ['-cert', file('leaf.pem'), '-key', file('key.pem')]
  const args = ['s_server', '-accept', `127.0.0.1:${port}`, '-rev', ...shown, ...more]
  const running = await startProgram(await needProgram('openssl'), args, port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

async function gnutls(...more: readonly string[]) {
  const port = await freePort()
  const shown = ['--x509certfile', file('leaf.pem'), '--x509keyfile', file('key.pem')]
  const args = ['--echo', '--port', String(port), ...shown, ...more]
  const running = await startProgram(await needProgram('gnutls-serv'), args, port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

/** Whether each of three visits was resumed; the server must answer each. */
async function threeVisits(port: number, to: Destination): Promise<readonly (boolean | null)[]> {
  const open = wayOut()
  const resumed = []
  for (let round = 0; round < 3; round += 1) {
    await using connection = await opened({ ...request(port), destination: to }, open)
    connection.stream.write('hello\n')
    expect((await readSome(connection)).trim()).toMatch(/^(?:hello|olleh)$/)
    resumed.push(connection.facts.resumed)
  }
  return resumed
}

describe('sessions are resumed with', () => {
  test.for(['-tls1_2', '-tls1_3'])('openssl s_server %s', async (version) => {
    await using server = await openssl(version)
    expect(await threeVisits(server.port, at())).toEqual([false, true, true])
  })

  test.for(['-tls1_2', '-tls1_3'])('openssl s_server %s that demands a certificate', async (version) => {
    const demands = ['-Verify', '2', '-verify_return_error', '-CAfile', file('clients.pem')]
    await using server = await openssl(version, ...demands)
    expect(await threeVisits(server.port, at(presenting()))).toEqual([false, true, true])
  })

  test.for(['VERS-TLS1.2', 'VERS-TLS1.3'])('gnutls-serv, %s', async (version) => {
    await using server = await gnutls('--priority', `NORMAL:-VERS-ALL:+${version}`)
    expect(await threeVisits(server.port, at())).toEqual([false, true, true])
  })

  test('nobody that gives no ticket', async () => {
    await using server = await openssl('-tls1_3', '-num_tickets', '0')
    expect(await threeVisits(server.port, at())).toEqual([false, false, false])
  })
})

interface Case {
  readonly args: () => readonly string[]
  readonly more?: () => Partial<Destination>
  readonly code: string
}

const demanding = (ca: string) => ['-Verify', '2', '-verify_return_error', '-CAfile', file(ca)]
const CASES: Record<string, Case> = {
  'TLS 1.1 alone': {
    args: () => ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'],
    code: 'upstream-tls-protocol',
  },
  'TLS 1.2 where 1.3 is the least': {
    args: () => ['-tls1_2'],
    more: () => ({ minVersion: 'TLSv1.3' }),
    code: 'upstream-tls-protocol',
  },
  'CBC ciphers alone': {
    args: () => ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'],
    code: 'upstream-tls-cipher',
  },
  'TLS 1.2: a certificate that is missing': {
    args: () => ['-tls1_2', ...demanding('clients.pem')],
    code: 'upstream-tls-client-certificate-required',
  },
  'TLS 1.3: a certificate that is missing': {
    args: () => ['-tls1_3', ...demanding('clients.pem')],
    code: 'upstream-tls-client-certificate-required',
  },
  'TLS 1.2: a certificate of a CA that it does not know': {
    args: () => ['-tls1_2', ...demanding('strangers.pem')],
    more: presenting,
    code: 'upstream-tls-client-certificate-refused',
  },
  'TLS 1.3: a certificate of a CA that it does not know': {
    args: () => ['-tls1_3', ...demanding('strangers.pem')],
    more: presenting,
    code: 'upstream-tls-client-certificate-refused',
  },
  'ALPN that it does not know': {
    args: () => ['-alpn', 'imap'],
    more: () => ({ alpn: ['h2'] }),
    code: 'upstream-tls-alpn',
  },
  'no ALPN': { args: () => [], more: () => ({ alpn: ['h2'] }), code: 'upstream-tls-alpn' },
}

describe('openssl s_server with', () => {
  for (const [name, { args, more, code }] of Object.entries(CASES)) {
    test(`${name}: ${code}`, async () => {
      await using server = await openssl(...args())
      const error = await refused({ ...request(server.port), destination: at(more?.()) }, wayOut())
      expect(error.code, error.message).toBe(code)
    })
  }
})

test('gnutls-serv that demands a certificate: one that is missing, and one that it does not know', async () => {
  const demand = ['--require-client-cert', '--verify-client-cert', '--x509cafile', file('strangers.pem')]
  await using server = await gnutls(...demand)
  const open = wayOut()
  const missing = await refused({ ...request(server.port), destination: at() }, open)
  expect(missing.code).toBe('upstream-tls-client-certificate-required')
  const unknown = await refused({ ...request(server.port), destination: at(presenting()) }, open)
  expect(unknown.code).toBe('upstream-tls-client-certificate-refused')
})
