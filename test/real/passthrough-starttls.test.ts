// Stock clients that turn to TLS themselves, through `tls: passthrough` with `startTls`: what their protocol says before
// TLS passes, and the name in their ClientHello is proven behind it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRoot } from '../fixtures/pki.ts'
import { toLoopback } from '../fixtures/partner.ts'
import { needProgram, type Ran, run, runWithInput } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment, partnerRoots } from './front-door.ts'
import { type MariaDb, PASSWORD, startMariaDb } from './mariadb.ts'
import { forwarderOf, HOST, serverFiles } from './plain-client.ts'
import { type Postfix, startPostfix } from './postfix.ts'
import { startTlsPostgres, type TlsPostgres } from './postgres-tls.ts'
import { type Slapd, startSlapd } from './slapd.ts'

const stack = new AsyncDisposableStack()
let world: World
let postgres: TlsPostgres
let postfix: Postfix
let mariadb: MariaDb
let slapd: Slapd
/** Of the client's own TLS, which the gateway never sees. */
let own: { readonly certificate: string; readonly key: string }

beforeAll(async () => {
  world = stack.use(await createWorld())
  const clients = await createRoot({ name: 'partner CA for clients' })
  const server = await world.partnerCa.issue({ cn: HOST, dns: [HOST] })
  // As MariaDB's user demands it.
  const client = await clients.issue({ cn: 'acme-payments' })
  own = {
    certificate: await world.file('own.pem', client.chainPem),
    key: await world.file('own.key', client.keyPem),
  }
  const ca = await world.file('clients.pem', clients.pem)
  const { chainPem: certificate, keyPem: key } = server
  postgres = stack.use(await startTlsPostgres({ version: 15, certificate, key, clientCa: clients.pem }))
  postfix = stack.use(await startPostfix({ ...(await serverFiles(world)), ca }))
  mariadb = stack.use(await startMariaDb({ chain: certificate, key, ca: clients.pem }))
  slapd = stack.use(await startSlapd({ ...(await serverFiles(world)), ca }))
}, 120_000)
afterAll(() => stack.disposeAsync())

interface Scene extends AsyncDisposable {
  readonly gateway: TestGateway
  /** Leads to the service as `partner.test`. */
  readonly port: number
}

async function scene(startTls: string, to: number): Promise<Scene> {
  await using held = new AsyncDisposableStack()
  const gateway = held.use(
    await startTestGateway(world, {
      destinations: `  - {name: partner, hosts: [${HOST}], ports: [${to}], tls: passthrough, startTls: ${startTls}, allowAddresses: [127.0.0.0/8]}`,
      resolve: toLoopback,
    }),
  )
  const { port } = held.use(await forwarderOf(world, gateway, '/payments/api', to))
  const moved = held.move()
  return { gateway, port, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

const PROVEN = {
  workload: 'spiffe://example.org/payments/api',
  upstream: { nameProof: 'client-hello', serverName: HOST, clientCertificateSha256: null },
  outcome: { code: 'closed' },
}

async function outcome(gateway: TestGateway) {
  const [record] = await gateway.closed(1)
  return { code: record?.outcome.code, sent: record?.bytes.sent, upstream: record?.upstream?.nameProof }
}

describe('psql', () => {
  async function psql({ port }: Scene, more: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const settings = {
      ...{ host: HOST, hostaddr: '127.0.0.1', port, dbname: 'postgres', user: 'app', connect_timeout: 20 },
      ...{ sslmode: 'verify-full', sslsni: '1', sslrootcert: partnerRoots(world) },
      ...{ sslcert: own.certificate, sslkey: own.key, ...more },
    }
    const connection = Object.entries(settings)
      .map(([name, value]) => `${name}='${value}'`)
      .join(' ')
    const query = "select client_dn || ' ' || version from pg_stat_ssl where pid = pg_backend_pid()"
    const args = ['--no-psqlrc', '--tuples-only', '--no-align', '--command', query, connection]
    return run(await needProgram('psql'), args, bareEnvironment(world.directory))
  }

  test('with TLS of its own, verified in full, is to the server who it is', async () => {
    await using s = await scene('postgres', postgres.port)
    expect(await psql(s)).toEqual({ code: 0, stdout: '/CN=acme-payments TLSv1.3\n', stderr: '' })
    const [record] = await s.gateway.closed(1)
    const { outcome: _, ...proven } = PROVEN
    expect(record).toMatchObject(proven)
    // The server leaves without having read the client's close_notify, which its kernel tells by a reset.
    expect(record?.outcome.code).toMatch(/^(?:closed|relay-upstream-reset)$/)
  })

  test.each<[string, Readonly<Record<string, string>>, string, number]>([
    [
      'that names another server',
      { host: 'other.test', sslmode: 'require', sslrootcert: '' },
      'name-mismatch',
      8,
    ],
    ['that names none', { sslsni: '0' }, 'name-missing', 8],
    ['that does without TLS', { sslmode: 'disable' }, 'request-start-tls', 0],
  ])('%s is cut off', async (_, more, code, sent) => {
    await using s = await scene('postgres', postgres.port)
    expect(await psql(s, more)).toMatchObject({ code: 2, stdout: '' })
    expect(await outcome(s.gateway)).toEqual({ code, sent, upstream: null })
  })
})

describe('of SMTP', () => {
  async function openssl({ port }: Scene, serverName: readonly string[]): Promise<Ran> {
    const tls = ['-CAfile', partnerRoots(world), '-verify_return_error', '-cert', own.certificate]
    const args = ['-connect', `127.0.0.1:${port}`, '-starttls', 'smtp', '-key', own.key, '-crlf', '-quiet']
    const program = await needProgram('openssl')
    return runWithInput(program, ['s_client', ...args, ...tls, ...serverName], 'QUIT\n', {})
  }

  test('openssl s_client is let through by the name that it shows', async () => {
    await using s = await scene('smtp', postfix.port)
    const ran = await openssl(s, ['-servername', HOST])
    expect(ran.stdout).toContain('221 2.0.0 Bye')
    expect((await s.gateway.closed(1))[0]).toMatchObject(PROVEN)
    await expect.poll(() => postfix.log()).toContain('subject_CN=acme-payments')
  })

  test.each<[string, readonly string[], string]>([
    ['shows another', ['-servername', 'other.test'], 'name-mismatch'],
    ['shows none', ['-noservername'], 'name-missing'],
  ])('openssl s_client that %s is cut off', async (_, serverName, code) => {
    await using s = await scene('smtp', postfix.port)
    const { stdout } = await openssl(s, serverName)
    expect(stdout).not.toContain('221')
    expect(await outcome(s.gateway)).toMatchObject({ code, upstream: null })
  })

  test('swaks mails with STARTTLS, and is cut off before a command where it does without', async () => {
    await using s = await scene('smtp', postfix.port)
    const swaks = async (more: readonly string[]) =>
      run(
        await needProgram('swaks'),
        [
          ...['--server', `127.0.0.1:${s.port}`, '--ehlo', 'workload.test'],
          ...['--from', 'a@partner.test', '--to', 'b@partner.test', ...more],
        ],
        bareEnvironment(world.directory),
      )
    const certificate = ['--tls-cert', own.certificate, '--tls-key', own.key]
    const mailed = await swaks(['--tls', '--tls-sni', HOST, ...certificate])
    expect(mailed.stdout).toMatch(/<~ {2}250 2\.0\.0 Ok: queued as/)
    expect((await s.gateway.closed(1))[0]).toMatchObject(PROVEN)
    const plain = await swaks([])
    expect(plain.code).not.toBe(0)
    const [, record] = await s.gateway.closed(2)
    expect(record?.outcome).toMatchObject({ code: 'request-start-tls', detail: '"MAIL" before TLS' })
  })
})

// Neither shows a name to a server that it was told by its address.
describe.each([
  ['required', 'name-missing'],
  ['whenPresent', 'closed'],
])('with nameProof: %s', (nameProof, code) => {
  test('mariadb over TLS of its own, and without, where it is cut off before its login', async () => {
    await using s = await scene(`mysql, nameProof: ${nameProof}`, mariadb.port)
    const ask = async (more: readonly string[]) => {
      const connection = ['--protocol=tcp', '--host=127.0.0.1', `--port=${s.port}`, '--user=payments']
      const query = ['--batch', '--skip-column-names', '--execute', 'select 42']
      const args = ['--no-defaults', ...connection, `--password=${PASSWORD}`, ...more, ...query]
      return run(await needProgram('mariadb'), args, bareEnvironment(world.directory))
    }
    const keys = [`--ssl-cert=${own.certificate}`, `--ssl-key=${own.key}`]
    const { stdout } = await ask([`--ssl-ca=${partnerRoots(world)}`, ...keys])
    expect(stdout).toBe(code === 'closed' ? '42\n' : '')
    expect(await outcome(s.gateway)).toMatchObject({ code, upstream: null })
    expect(await ask(['--skip-ssl'])).toMatchObject({ code: 1, stdout: '' })
    expect((await s.gateway.closed(2))[1]?.outcome.code).toBe('request-start-tls')
  })

  test('ldapsearch by StartTLS, and without, where it is cut off before its bind', async () => {
    await using s = await scene(`ldap, nameProof: ${nameProof}`, slapd.port)
    const search = async (more: readonly string[]) => {
      const env = {
        ...bareEnvironment(world.directory),
        ...{ LDAPTLS_CERT: own.certificate, LDAPTLS_KEY: own.key, LDAPTLS_REQCERT: 'never' },
      }
      const args = ['-x', '-LLL', '-H', `ldap://127.0.0.1:${s.port}`, '-s', 'base', '-b', '', ...more]
      return run(await needProgram('ldapsearch'), args, env)
    }
    expect((await search(['-ZZ'])).stdout.startsWith('dn:')).toBe(code === 'closed')
    expect(await outcome(s.gateway)).toMatchObject({ code, upstream: null })
    expect((await search([])).stdout).toBe('')
    expect((await s.gateway.closed(2))[1]?.outcome.code).toBe('request-start-tls')
  })
})
