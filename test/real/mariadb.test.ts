// Stock clients of MySQL that speak plaintext inside the workload's tunnel, and a MariaDB that takes TLS with a client
// certificate alone: the gateway upgrades, and each workload is known by a certificate of its own.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { createWorld, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'
import { type MariaDb, PASSWORD, startMariaDb } from './mariadb.ts'
import { HOST, type Forwarder, forwarderOf, startGatewayTo, type Workload } from './plain-client.ts'

/** Debian's own, which finds Debian's python3-pymysql. */
const PYTHON = '/usr/bin/python3'

const stack = new AsyncDisposableStack()
let world: World
let database: MariaDb
let gateway: TestGateway
let payments: Forwarder
let reports: Forwarder

beforeAll(async () => {
  world = stack.use(await createWorld())
  const { chainPem, keyPem } = await world.partnerCa.issue({ cn: HOST, dns: [HOST] })
  database = stack.use(await startMariaDb({ chain: chainPem, key: keyPem, ca: world.partnerCa.pem }))
  gateway = stack.use(await startGatewayTo(world, 'mysql', database.port))
  const through = async (workload: Workload) =>
    stack.use(await forwarderOf(world, gateway, workload, database.port))
  payments = await through('/payments/api')
  reports = await through('/reports/api')
}, 60_000)
afterAll(() => stack.disposeAsync())

async function mariadb(
  by: Forwarder,
  user: string,
  query: string,
  more: readonly string[] = [],
): Promise<Ran> {
  const connection = [
    '--protocol=tcp',
    '--host=127.0.0.1',
    `--port=${by.port}`,
    `--user=${user}`,
    `--password=${PASSWORD}`,
  ]
  const args = [
    '--no-defaults',
    ...connection,
    '--skip-ssl',
    '--batch',
    '--skip-column-names',
    ...more,
    '--execute',
    query,
  ]
  return run(await needProgram('mariadb'), args, bareEnvironment(world.directory))
}

/** Prints what Python evaluates the expression over the cursor `c` to. */
async function pymysql(by: Forwarder, options: string, statements: string): Promise<Ran> {
  const script = `import pymysql
from pymysql.constants import CLIENT
d = pymysql.connect(host='127.0.0.1', port=${by.port}, user='payments', password='${PASSWORD}', ssl_disabled=True, ${options})
c = d.cursor()
${statements}
`
  return run(PYTHON, ['-I', '-c', script], bareEnvironment(world.directory))
}

const CIPHER =
  "select count(*) from information_schema.session_status where variable_name = 'Ssl_cipher' and variable_value <> ''"

describe('the client of MariaDB', () => {
  test.for<[string, () => Forwarder, () => Forwarder]>([
    ['payments', () => payments, () => reports],
    ['reports', () => reports, () => payments],
    ['payments_ed', () => payments, () => reports],
  ])(
    'logs in as %s by the workload whose certificate that user needs, and by no other',
    async ([user, own, other]) => {
      expect(await mariadb(own(), user, `select current_user(); ${CIPHER}`)).toEqual({
        code: 0,
        stdout: `${user}@%\n1\n`,
        stderr: '',
      })
      const refused = await mariadb(other(), user, 'select 1')
      expect(refused).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toContain('Access denied for user')
    },
  )

  test('is known to the record by the certificate that was presented', async () => {
    const before = gateway.records().length
    await mariadb(payments, 'payments', 'select 1')
    await mariadb(reports, 'reports', 'select 1')
    const records = (await gateway.closed(before + 2)).slice(before)
    const presented = records.map(({ upstream }) => upstream?.clientCertificateSha256)
    expect(presented).not.toContain(null)
    expect(new Set(presented).size).toBe(2)
  })

  test('is told that its password is wrong', async () => {
    const { code, stderr } = await mariadb(payments, 'payments', 'select 1', ['--password=of somebody else'])
    expect(code).toBe(1)
    expect(stderr).toContain("ERROR 1045 (28000): Access denied for user 'payments'@'127.0.0.1'")
  })

  test('gets megabytes, compressed by the protocol or not', async () => {
    const query = "select repeat('x', 1000) from orders.lines, orders.seq_1_to_4000"
    const plain = await mariadb(payments, 'payments', query, ['--quick'])
    const compressed = await mariadb(payments, 'payments', query, ['--quick', '--compress'])
    expect(plain.stdout.length).toBe(8_008_000)
    expect(compressed).toEqual(plain)
  })
})

describe('PyMySQL', () => {
  test.for<[string, string, string, string]>([
    [
      'character set',
      "charset='latin1'",
      "c.execute('select @@character_set_client'); print(c.fetchone()[0])",
      'latin1\n',
    ],
    [
      'character set of four bytes',
      "charset='utf8mb4'",
      'c.execute("select \'\u{1f511}\'"); print(c.fetchone()[0])',
      '\u{1f511}\n',
    ],
    [
      'database',
      "database='orders'",
      "c.execute('select count(*) from `lines`'); print(c.fetchone()[0])",
      '2\n',
    ],
    [
      'count of found rows',
      'client_flag=CLIENT.FOUND_ROWS',
      'print(c.execute("update orders.lines set note = note"))',
      '2\n',
    ],
    [
      'count of changed rows',
      'client_flag=0',
      'print(c.execute("update orders.lines set note = note"))',
      '0\n',
    ],
    [
      'several statements at once',
      'client_flag=CLIENT.MULTI_STATEMENTS',
      "c.execute('select 1; select 2'); c.nextset(); print(c.fetchone()[0])",
      '2\n',
    ],
  ])('gets the %s it asks for', async ([, options, statements, printed]) => {
    const twice = [await pymysql(payments, options, statements), await pymysql(payments, options, statements)]
    const expected = { code: 0, stdout: printed, stderr: '' }
    expect(twice).toEqual([expected, expected])
  })

  test('is not given several statements at once where it did not ask for them', async () => {
    await pymysql(payments, 'client_flag=CLIENT.MULTI_STATEMENTS', 'pass')
    const { code, stderr } = await pymysql(payments, 'client_flag=0', "c.execute('select 1; select 2')")
    expect(code).toBe(1)
    expect(stderr).toContain('You have an error in your SQL syntax')
  })

  test('takes one connection where the last client asked for the same, and two where not', async () => {
    const attempts = async (options: string): Promise<number | undefined> => {
      const before = gateway.records().length
      await pymysql(payments, options, 'pass')
      return (await gateway.closed(before + 1))[before]?.upstream?.attempts
    }
    await attempts("charset='latin1'")
    expect(await attempts("charset='latin1'")).toBe(1)
    expect(await attempts("charset='utf8mb4'")).toBe(2)
    expect(await attempts("charset='utf8mb4'")).toBe(1)
  })
})
