// PostgreSQL 15 and 17 that demand a client certificate, reached by psql that has none of theirs: it speaks plaintext inside
// its mTLS tunnel, and the gateway asks for TLS outside and shows the workload's certificate.
import { spawn } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect } from '../fixtures/connect-client.ts'
import { toLoopback } from '../fixtures/partner.ts'
import type { Ca, Issued } from '../fixtures/pki.ts'
import { createRoot } from '../fixtures/pki.ts'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment, svidFiles } from './front-door.ts'
import { startTlsPostgres, type TlsPostgres, type Version } from './postgres-tls.ts'
import { makeFolderInTree, needTree, runInTree } from './tree.ts'

const stack = new AsyncDisposableStack()
let world: World
let clients: Ca
const servers = new Map<Version, TlsPostgres>()

beforeAll(async () => {
  world = stack.use(await createWorld())
  clients = await createRoot({ name: 'partner CA for clients' })
  const { chainPem: certificate, keyPem: key } = await world.partnerCa.issue({ dns: ['orders.test'] })
  for (const name of ['payments', 'reports']) {
    const issued = await clients.issue({ cn: `${name}-at-partner` })
    await world.file(`pki/${name}.pem`, issued.chainPem)
    await world.file(`pki/${name}.key`, issued.keyPem)
  }
  for (const version of [15, 17] as const) {
    const options = { version, certificate, key, clientCa: clients.pem }
    servers.set(version, stack.use(await startTlsPostgres(options)))
  }
})
afterAll(() => stack.disposeAsync())

const POLICY =
  '@id("p") permit (principal in Path::"spiffe://example.org", action, resource) unless { principal == Workload::"spiffe://example.org/other" };'

async function startGateway(version: Version, more = ''): Promise<TestGateway> {
  const entry = (name: string) =>
    `      - {workloads: ["spiffe://example.org/${name}"], certificate: file:pki/${name}.pem, key: file:pki/${name}.key}`
  return startTestGateway(world, {
    listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: orders, address: "127.0.0.1:0", protocol: fixed, destination: orders, startTls: postgres}`,
    destinations: `  - name: orders
    hosts: [orders.test]
    ports: [${servers.get(version)?.port}]
    startTls: postgres
    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]
    clientCertificates:
${entry('payments')}
${entry('reports')}
${more}`,
    policy: POLICY,
    resolve: toLoopback,
  })
}

/** What a program that knows no proxy needs: a port of its own that leads through the gateway by CONNECT. */
async function startShim(gateway: TestGateway, version: Version, svid: Issued) {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((local) => {
    sockets.add(local)
    local.on('error', () => {}).on('close', () => sockets.delete(local))
    const target = `orders.test:${servers.get(version)?.port}`
    void connect(world, gateway.port, { svid, target }).then(({ status, socket }) => {
      if (status !== 200) return void local.destroy()
      socket.on('close', () => local.destroy())
      local.on('close', () => socket.destroy())
      local.pipe(socket).pipe(local)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Settings = Readonly<Record<string, string | number>>

/** psql of either version; its files are put where it sees them. */
interface Psql extends AsyncDisposable {
  command(settings: Settings, query: string): Promise<readonly [string, readonly string[], NodeJS.ProcessEnv]>
  /** Connection settings of who comes in by mTLS. */
  mtls(svid: Issued): Promise<Settings>
}

function connectionString(settings: Settings): string {
  const given = { host: 'localhost', dbname: 'postgres', user: 'app', connect_timeout: 20, ...settings }
  return Object.entries(given)
    .map(([name, value]) => `${name}='${value}'`)
    .join(' ')
}

function psqlArguments(settings: Settings, query: string): string[] {
  return ['--no-psqlrc', '--tuples-only', '--no-align', '--command', query, connectionString(settings)]
}

async function psql15(): Promise<Psql> {
  const program = await needProgram('psql')
  return {
    command: async (settings, query) => [
      program,
      psqlArguments(settings, query),
      bareEnvironment(world.directory),
    ],
    async mtls(svid) {
      const { certificate, key, bundle } = await svidFiles(world, svid)
      return { sslmode: 'verify-full', sslcert: certificate, sslkey: key, sslrootcert: bundle }
    },
    async [Symbol.asyncDispose]() {},
  }
}

async function psql17(): Promise<Psql> {
  const tree = await needTree()
  const folder = await makeFolderInTree()
  const clean = ['/usr/bin/env', '-i', 'PATH=/usr/bin:/bin', 'HOME=/tmp', 'LC_ALL=C.UTF-8']
  return {
    command: async (settings, query) => {
      // The tree has no /etc/hosts.
      const args = psqlArguments({ hostaddr: '127.0.0.1', ...settings }, query)
      return ['/usr/sbin/chroot', [tree, ...clean, 'psql', ...args], process.env]
    },
    async mtls(svid) {
      const files = await svidFiles(world, svid)
      for (const file of Object.values(files))
        await copyFile(file, path.join(folder.here, path.basename(file)))
      const there = (file: string) => path.join(folder.there, path.basename(file))
      const { certificate, key, bundle } = files
      return {
        ...{ sslmode: 'verify-full', sslrootcert: there(bundle) },
        ...{ sslcert: there(certificate), sslkey: there(key) },
      }
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

const PSQL = { 15: psql15, 17: psql17 } as const
const WHO = "select client_dn || ' ' || version from pg_stat_ssl where pid = pg_backend_pid()"

async function ask(psql: Psql, settings: Settings, query = WHO): Promise<Ran> {
  const [program, args, env] = await psql.command(settings, query)
  return run(program, args, env)
}

describe.each([15, 17] as const)('PostgreSQL %i', (version) => {
  test.each([15, 17] as const)(
    'shows by whose certificate psql %i came in, on a fixed listener',
    async (client) => {
      await using gateway = await startGateway(version)
      await using psql = await PSQL[client]()
      for (const name of ['payments', 'reports']) {
        const settings = {
          ...(await psql.mtls(await world.svid(`/${name}`))),
          port: gateway.portOf('orders'),
        }
        expect(await ask(psql, settings)).toEqual({
          code: 0,
          stdout: `/CN=${name}-at-partner TLSv1.3\n`,
          stderr: '',
        })
      }
      const [first, second] = await gateway.closed(2)
      expect(first).toMatchObject({
        workload: 'spiffe://example.org/payments',
        upstream: { nameProof: 'certificate', serverName: 'orders.test', tlsVersion: 'TLSv1.3' },
        outcome: { code: 'closed', by: 'client' },
      })
      const shown = [first, second].map((record) => record?.upstream?.clientCertificateSha256)
      expect(new Set(shown).size).toBe(2)
    },
  )

  test.each([15, 17] as const)('shows by whose certificate psql %i came in, by CONNECT', async (client) => {
    await using gateway = await startGateway(version)
    await using psql = await PSQL[client]()
    for (const name of ['payments', 'reports']) {
      await using shim = await startShim(gateway, version, await world.svid(`/${name}`))
      // By default psql asks for encryption first, and takes the gateway's no.
      for (const sslmode of ['prefer', 'disable']) {
        const ran = await ask(psql, { port: shim.port, sslmode })
        expect(ran).toEqual({ code: 0, stdout: `/CN=${name}-at-partner TLSv1.3\n`, stderr: '' })
      }
      const insisting = await ask(psql, { port: shim.port, sslmode: 'require' })
      expect(insisting.stderr).toContain('server does not support SSL, but SSL was required')
    }
  })

  test('has a query cancelled that was asked by CONNECT', async () => {
    await using gateway = await startGateway(version)
    await using shim = await startShim(gateway, version, await world.svid('/payments'))
    await using psql = await psql15()
    await cancelled(psql, { port: shim.port })
    const records = await gateway.closed(2)
    expect(records.map(({ outcome }) => outcome.code)).not.toContain('request-cancel-unknown')
  })

  test('has a query cancelled that was asked on a fixed listener, by libpq 17 over mTLS', async () => {
    await using gateway = await startGateway(version)
    await using psql = await psql17()
    const settings = { ...(await psql.mtls(await world.svid('/payments'))), port: gateway.portOf('orders') }
    const connection = connectionString({ hostaddr: '127.0.0.1', ...settings })
    const ran = await runInTree(['python3', '-c', CANCEL_BY_LIBPQ, connection])
    expect(ran).toMatchObject({ code: 0, stdout: 'ERROR:  canceling statement due to user request\n' })
  })

  test.each([15, 17] as const)(
    'has a query cancelled that was asked on a fixed listener, by Ctrl-C in psql %i, which has no TLS for that',
    async (client) => {
      await using gateway = await startGateway(version)
      await using psql = await PSQL[client]()
      const settings = { ...(await psql.mtls(await world.svid('/payments'))), port: gateway.portOf('orders') }
      await cancelled(psql, settings)
      const asked = gateway.records().filter(({ credential }) => credential === 'cancel-key')
      expect(asked).toMatchObject([
        { workload: 'spiffe://example.org/payments', outcome: { code: 'closed' }, destination: 'orders' },
      ])
    },
  )

  test('is not reached by a refused psql, which prints why', async () => {
    await using gateway = await startGateway(version)
    await using psql = await psql15()
    const port = gateway.portOf('orders')
    const denied = await ask(psql, { ...(await psql.mtls(await world.svid('/other'))), port })
    const { id } = (await gateway.closed(1))[0] ?? {}
    expect(denied).toMatchObject({ code: 2, stdout: '' })
    expect(denied.stderr).toContain(`FATAL:  sallyport denied this connection (session ${id})`)
    const { sslrootcert = '' } = await psql.mtls(await world.svid('/other'))
    const nobody = await ask(psql, { port, sslrootcert, sslmode: 'verify-full' })
    expect(nobody.stderr).toContain(
      'FATAL:  sallyport refused this client: client-certificate-missing (session ',
    )
  })

  test('itself refuses a workload for which there is no certificate', async () => {
    await using gateway = await startGateway(version)
    await using psql = await psql15()
    const svid = await world.svid('/nobody')
    const ran = await ask(psql, { ...(await psql.mtls(svid)), port: gateway.portOf('orders') })
    // The server says it after the handshake in its own protocol: "connection requires a valid client certificate".
    expect(ran.stderr).toContain('FATAL:  connection requires a valid client certificate')
  })

  test('takes a password without channel binding', async () => {
    await using gateway = await startGateway(version)
    await using psql = await psql15()
    const payments = await world.svid('/payments')
    await using shim = await startShim(gateway, version, payments)
    const made = await ask(psql, { port: shim.port }, "create role scram login password 'of scram'")
    expect(made).toMatchObject({ code: 0 })
    const login = { user: 'scram', password: 'of scram' }
    expect((await ask(psql, { ...login, port: shim.port }, 'select 42')).stdout).toBe('42\n')
    // A client that has TLS itself, to the gateway, would take the missing offer for somebody in the middle.
    const settings = { ...(await psql.mtls(payments)), ...login, port: gateway.portOf('orders') }
    expect((await ask(psql, { ...settings, channel_binding: 'disable' }, 'select 42')).stdout).toBe('42\n')
    expect((await ask(psql, settings, 'select 42')).stderr).toContain('SCRAM channel binding')
  })
})

const SLEEPING =
  "select count(*) from pg_stat_activity where query = 'select pg_sleep(100)' and state = 'active'"

/** A psql whose query runs in the server. */
async function startSleeper(psql: Psql, settings: Settings) {
  const [program, args, env] = await psql.command(settings, 'select pg_sleep(100)')
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()))
  await expect.poll(async () => (await ask(psql, settings, SLEEPING)).stdout, { timeout: 20_000 }).toBe('1\n')
  return {
    /** As Ctrl-C at a terminal: psql asks for its query to be cancelled. */
    interrupt: () => void child.kill('SIGINT'),
    async end() {
      await exited
      return stderr
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function cancelled(psql: Psql, settings: Settings): Promise<void> {
  await using sleeper = await startSleeper(psql, settings)
  sleeper.interrupt()
  expect(await sleeper.end()).toContain('ERROR:  canceling statement due to user request')
  expect((await ask(psql, settings, SLEEPING)).stdout).toBe('0\n')
}

/** psql, of version 17 too, cancels by PQcancel, which speaks no TLS; PQcancelCreate of libpq 17 does. */
const CANCEL_BY_LIBPQ = `
import ctypes, select, sys
pq = ctypes.CDLL('libpq.so.5')
pointer, text = ctypes.c_void_p, ctypes.c_char_p
for name in 'PQconnectdb', 'PQcancelCreate', 'PQgetResult': getattr(pq, name).restype = pointer
for name in 'PQerrorMessage', 'PQcancelErrorMessage', 'PQresultErrorMessage': getattr(pq, name).restype = text
connection = pointer(pq.PQconnectdb(sys.argv[1].encode()))
if pq.PQstatus(connection) != 0: sys.exit(pq.PQerrorMessage(connection).decode())
pq.PQsendQuery(connection, b'select pg_sleep(100)')
# A cancel that comes before its query has begun means nothing.
while pq.PQisBusy(connection):
    cancel = pointer(pq.PQcancelCreate(connection))
    if pq.PQcancelBlocking(cancel) != 1: sys.exit(pq.PQcancelErrorMessage(cancel).decode())
    pq.PQcancelFinish(cancel)
    # Until the server has said something, or the cancel came too early and is worth another.
    select.select([pq.PQsocket(connection)], [], [], 0.3)
    pq.PQconsumeInput(connection)
print(pq.PQresultErrorMessage(pointer(pq.PQgetResult(connection))).decode().strip())
pq.PQfinish(connection)
`

describe('startTlsNegotiation: direct', () => {
  test('reaches PostgreSQL 17 without SSLRequest', async () => {
    await using gateway = await startGateway(17, '    startTlsNegotiation: direct')
    await using psql = await psql17()
    const settings = {
      ...(await psql.mtls(await world.svid('/payments'))),
      ...{ port: gateway.portOf('orders'), sslnegotiation: 'direct' },
    }
    expect((await ask(psql, settings)).stdout).toBe('/CN=payments-at-partner TLSv1.3\n')
    await using shim = await startShim(gateway, 17, await world.svid('/payments'))
    await using by15 = await psql15()
    await cancelled(by15, { port: shim.port })
  })

  test('is refused by PostgreSQL 15, and psql is told that it cannot be opened', async () => {
    await using gateway = await startGateway(15, '    startTlsNegotiation: direct')
    await using psql = await psql15()
    const settings = { ...(await psql.mtls(await world.svid('/payments'))), port: gateway.portOf('orders') }
    const ran = await ask(psql, settings)
    expect(ran.stderr).toContain('FATAL:  sallyport cannot open this connection now (session ')
    expect((await gateway.closed(1))[0]?.outcome.code).toMatch(/^upstream-tls-/)
  })
})
