// A stock psql with its SVID as client certificate, on a `fixed` listener with `startTls: postgres`: libpq's own SSLRequest
// and TLS, a PostgreSQL behind the gateway that speaks no TLS, and the database's own password check end to end.
import { createHash } from 'node:crypto'
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toLoopback } from '../fixtures/partner.ts'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment, type SvidFiles, svidFiles } from './front-door.ts'
import { PASSWORD, type Postgres, startPostgres } from './postgres.ts'
import { makeFolderInTree, runInTree } from './tree.ts'

const stack = new AsyncDisposableStack()
let world: World
let postgres: Postgres
let svid: SvidFiles

beforeAll(async () => {
  postgres = stack.use(await startPostgres())
  world = stack.use(await createWorld())
  svid = await svidFiles(world, await world.svid('/payments/api'))
})
afterAll(() => stack.disposeAsync())

async function startGateway(): Promise<TestGateway> {
  return startTestGateway(world, {
    listeners:
      '  - {name: orders, address: "127.0.0.1:0", protocol: fixed, destination: orders, startTls: postgres}',
    destinations: `  - {name: orders, hosts: [orders.test], ports: [${postgres.port}], tls: opaque, allowAddresses: [127.0.0.0/8]}`,
    policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
    resolve: toLoopback,
  })
}

type Settings = Readonly<Record<string, string>>

function psqlArguments(gateway: TestGateway, settings: Settings, query = 'select 6 * 7'): string[] {
  const port = gateway.portOf('orders')
  const given = { host: 'localhost', port, dbname: 'postgres', user: 'app', ...settings }
  const connection = Object.entries(given).map(([name, value]) => `${name}='${value}'`)
  return ['--no-psqlrc', '--tuples-only', '--no-align', '--command', query, connection.join(' ')]
}

async function psql(gateway: TestGateway, settings: Settings, query?: string): Promise<Ran> {
  const env = bareEnvironment(world.directory, { PGPASSWORD: PASSWORD, PGCONNECT_TIMEOUT: '20' })
  return run(await needProgram('psql'), psqlArguments(gateway, settings, query), env)
}

const verified = ({ certificate, key, bundle }: SvidFiles) => ({
  sslmode: 'verify-full',
  sslcert: certificate,
  sslkey: key,
  sslrootcert: bundle,
})

test("psql 17 begins with TLS, without PostgreSQL's own request for it", async () => {
  await using gateway = await startGateway()
  await using folder = await makeFolderInTree()
  for (const file of Object.values(svid)) await copyFile(file, path.join(folder.here, path.basename(file)))
  const there = Object.entries(verified(svid)).map(([name, value]) => [
    name,
    value.startsWith('/') ? path.join(folder.there, path.basename(value)) : value,
  ])
  // The tree has no /etc/hosts.
  const settings = { ...Object.fromEntries(there), hostaddr: '127.0.0.1', sslnegotiation: 'direct' }
  const ran = await runInTree(['psql', ...psqlArguments(gateway, settings)], { PGPASSWORD: PASSWORD })
  expect(ran).toEqual({ code: 0, stdout: '42\n', stderr: '' })
  expect((await gateway.closed(1))[0]).toMatchObject({
    workload: 'spiffe://example.org/payments/api',
    outcome: { code: 'closed', by: 'client' },
  })
})

describe('psql on a fixed listener', () => {
  test('comes in with sslmode=verify-full and its SVID', async () => {
    await using gateway = await startGateway()
    const ran = await psql(gateway, verified(svid))
    expect(ran).toEqual({ code: 0, stdout: '42\n', stderr: '' })
    expect((await gateway.closed(1))[0]).toMatchObject({
      listener: 'orders',
      workload: 'spiffe://example.org/payments/api',
      credential: 'certificate',
      requested: { host: 'orders.test', port: postgres.port },
      decision: { result: 'allow', policies: ['p'] },
      outcome: { code: 'closed', by: 'client' },
    })
  })

  test('gets megabytes as they are', async () => {
    await using gateway = await startGateway()
    const query = 'select i, md5(i::text) from generate_series(1, 60000) i'
    const ran = await psql(gateway, verified(svid), `select md5(string_agg(t::text, ',')) from (${query}) t`)
    const all = await psql(gateway, verified(svid), `select t::text from (${query}) t`)
    expect(all.stdout.length).toBeGreaterThan(2_000_000)
    const digest = createHash('md5').update(all.stdout.trimEnd().replaceAll('\n', ',')).digest('hex')
    expect(digest).toBe(ran.stdout.trim())
  })

  test('is told by the database that its password is wrong', async () => {
    await using gateway = await startGateway()
    const ran = await psql(gateway, { ...verified(svid), password: 'of somebody else' })
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain('FATAL:  password authentication failed for user "app"')
  })

  test('is told what to do with sslmode=disable', async () => {
    await using gateway = await startGateway()
    const ran = await psql(gateway, { sslmode: 'disable' })
    expect(ran.code).toBe(2)
    expect(ran.stderr).toContain(
      'FATAL:  this port takes TLS with a client certificate alone: sslmode=verify-full',
    )
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('request-start-tls')
  })

  test.for<[string, Settings, string | null, string]>([
    ['without a certificate', { sslmode: 'verify-full' }, null, 'client-certificate-missing'],
    [
      'with sslmode=prefer, which may try without TLS',
      { sslmode: 'prefer' },
      null,
      'client-certificate-missing',
    ],
    ['where policy does not name it', {}, '/reports', 'policy-denied'],
  ])('does not reach the database %s', async ([, settings, id, code]) => {
    await using gateway = await startGateway()
    const shown = id === null ? {} : verified(await svidFiles(world, await world.svid(id), 'other'))
    const ran = await psql(gateway, { sslrootcert: svid.bundle, ...shown, ...settings })
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect((await gateway.closed(1))[0]).toMatchObject({ outcome: { code }, upstream: null })
    expect(gateway.records().filter(({ upstream }) => upstream !== null)).toEqual([])
  })
})
