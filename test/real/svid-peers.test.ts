// SVIDs as certificates of TLS servers and clients, in each pairing of OpenSSL's, GnuTLS's and Node's: each verifies
// chain and purpose, the clients the name too, and a line goes there and back.
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { goodClaims, type RunningFakeIssuer, startFakeOidcIssuer } from '../fakes/oidc-issuer.ts'
import { freePort, needProgram, startProgram } from '../fixtures/process.ts'
import { runSallyport, type Sallyport, startSallyport } from '../fixtures/sallyport.ts'
import { createWorld, type World } from '../fixtures/world.ts'

const AUDIENCE = 'https://identity.example.org'

let world: World
let issuer: RunningFakeIssuer
let authority: Sallyport
const file = (name: string) => path.join(world.directory, name)

beforeAll(async () => {
  world = await createWorld()
  issuer = await startFakeOidcIssuer()
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}"}]}
registrations:
  - name: gateway
    spiffeId: spiffe://example.org/sallyport/gateway
    reserved: true
    match: {oidc: main, claims: {sub: workload}}
    x509: {ttl: 1h, dnsNames: [localhost]}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  authority = startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
    cwd: world.directory,
    env: { SALLYPORT_DEV: '1' },
  })
  const url = `http://${String((await authority.event('listening')).address)}`
  for (const name of ['server', 'client']) {
    const token = await issuer.sign(goodClaims(issuer.issuer, AUDIENCE, new Date()))
    const fetched = await runSallyport([
      ...['identity', 'fetch', '--authority', url, '--trust-domain', 'example.org', '--audience', AUDIENCE],
      ...['--oidc-token-file', await world.file(`${name}.jwt`, token), '--out', file(name)],
    ])
    if (fetched.code !== 0) throw new Error(fetched.stderr)
    const [leaf = '', ...rest] = (await readFile(file(`${name}/certificate.pem`), 'utf8')).split(
      /(?=-----BEGIN)/,
    )
    await world.file(`${name}/leaf.pem`, leaf)
    await world.file(`${name}/chain.pem`, rest.join(''))
  }
})
afterAll(async () => {
  await authority[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

interface Server extends AsyncDisposable {
  readonly port: number
}

const SERVERS: Readonly<Record<string, () => Promise<Server>>> = {
  async OpenSSL() {
    const port = await freePort()
    const running = await startProgram(
      await needProgram('openssl'),
      [
        ...['s_server', '-accept', `127.0.0.1:${port}`, '-cert', file('server/leaf.pem'), '-rev'],
        ...['-cert_chain', file('server/chain.pem'), '-key', file('server/key.pem')],
        ...['-CAfile', file('server/bundle.pem'), '-Verify', '2', '-verify_return_error'],
      ],
      port,
    )
    return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
  },
  async GnuTLS() {
    const port = await freePort()
    const running = await startProgram(
      await needProgram('gnutls-serv'),
      [
        ...['--port', String(port), '--echo', '--require-client-cert', '--verify-client-cert'],
        ...['--x509certfile', file('server/certificate.pem'), '--x509keyfile', file('server/key.pem')],
        ...['--x509cafile', file('server/bundle.pem')],
      ],
      port,
    )
    return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
  },
  async Node() {
    const [cert, key, ca] = await Promise.all(
      ['certificate.pem', 'key.pem', 'bundle.pem'].map((name) => readFile(file(`server/${name}`))),
    )
    const server = tls.createServer({ cert, key, ca, requestCert: true }, (socket) => {
      socket.on('error', () => socket.destroy())
      socket.pipe(socket)
    })
    server.on('tlsClientError', () => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      port: (server.address() as { port: number }).port,
      async [Symbol.asyncDispose]() {
        await new Promise((resolve) => server.close(resolve))
      },
    }
  },
}

/** Sends a line and gives what came back; an empty text where the client ended without. */
async function talk(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.resume()
  child.stdin.on('error', () => undefined)
  child.stdin.write('hello\n')
  const ended = new Promise((resolve) => child.on('close', resolve))
  try {
    const answer = () => /hello|olleh/.exec(output)?.[0]
    await vi.waitFor(
      () => {
        if (answer() === undefined && child.exitCode === null) throw new Error(`no answer: ${output}`)
      },
      { timeout: 10_000, interval: 20 },
    )
    return answer() ?? ''
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

const CLIENTS: Readonly<Record<string, (port: number, roots: string) => Promise<string>>> = {
  OpenSSL: async (port, roots) =>
    talk(await needProgram('openssl'), [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-quiet', '-no_ign_eof'],
      ...['-verify_hostname', 'localhost', '-verify_return_error', '-CAfile', roots],
      ...['-cert', file('client/leaf.pem'), '-cert_chain', file('client/chain.pem')],
      ...['-key', file('client/key.pem')],
    ]),
  GnuTLS: async (port, roots) =>
    talk(await needProgram('gnutls-cli'), [
      ...['--port', String(port), '--x509cafile', roots, '--logfile', '/dev/null'],
      ...['--x509certfile', file('client/certificate.pem'), '--x509keyfile', file('client/key.pem')],
      'localhost',
    ]),
  async Node(port, roots) {
    const [cert, key, ca] = await Promise.all(
      [file('client/certificate.pem'), file('client/key.pem'), roots].map((name) => readFile(name)),
    )
    return new Promise((resolve) => {
      const socket = tls.connect({ host: '127.0.0.1', servername: 'localhost', port, cert, key, ca }, () =>
        socket.write('hello\n'),
      )
      socket.on('error', () => resolve(''))
      socket.on('close', () => resolve(''))
      socket.on('data', (chunk: Buffer) => {
        resolve(/hello|olleh/.exec(chunk.toString())?.[0] ?? '')
        socket.destroy()
      })
    })
  },
}

describe.each(Object.entries(SERVERS))('an SVID as server certificate of %s', (_server, start) => {
  test.each(Object.entries(CLIENTS))('serves %s, whose certificate is one too', async (_client, call) => {
    await using server = await start()
    expect(await call(server.port, file('client/bundle.pem'))).toMatch(/^(?:hello|olleh)$/)
  })

  test.each(Object.entries(CLIENTS))('is refused by %s under other roots', async (_client, call) => {
    await using server = await start()
    expect(await call(server.port, file('pki/partner-ca.pem'))).toBe('')
  })
})
