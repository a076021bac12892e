// curl and Python that speak plaintext IMAP and POP3 inside the workload's tunnel, and a Dovecot that wants STARTTLS with a
// client certificate and takes the user's name from it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { type Dovecot, PASSWORD, startDovecot } from './dovecot.ts'
import { bareEnvironment } from './front-door.ts'
import { type Forwarder, forwarderOf, serverFiles, startGatewayTo, type Workload } from './plain-client.ts'

const PYTHON = '/usr/bin/python3'
const stack = new AsyncDisposableStack()
let world: World
let dovecot: Dovecot
const imap = new Map<Workload, Forwarder>()
const pop3 = new Map<Workload, Forwarder>()

beforeAll(async () => {
  world = stack.use(await createWorld())
  dovecot = stack.use(await startDovecot(await serverFiles(world)))
  for (const [startTls, port, forwarders] of [
    ['imap', dovecot.imapPort, imap],
    ['pop3', dovecot.pop3Port, pop3],
  ] as const) {
    const gateway = stack.use(await startGatewayTo(world, startTls, port))
    for (const workload of ['/payments/api', '/reports/api'] as const) {
      forwarders.set(workload, stack.use(await forwarderOf(world, gateway, workload, port)))
    }
  }
})
afterAll(() => stack.disposeAsync())

const portOf = (forwarders: ReadonlyMap<Workload, Forwarder>, workload: Workload): number =>
  forwarders.get(workload)?.port ?? 0

async function curl(url: string, user: string, more: readonly string[] = []): Promise<Ran> {
  const args = [
    '--disable',
    '--silent',
    '--show-error',
    '--verbose',
    '--user',
    `${user}:${PASSWORD}`,
    '--url',
    url,
    ...more,
  ]
  return run(await needProgram('curl'), args, bareEnvironment(world.directory))
}

async function python(script: string): Promise<Ran> {
  return run(PYTHON, ['-I', '-c', script], bareEnvironment(world.directory))
}

describe.for<[Workload, string]>([
  ['/payments/api', 'acme-payments'],
  ['/reports/api', 'acme-reports'],
])('a client of %s', ([workload, user]) => {
  test(`reads mail by IMAP as ${user}`, async () => {
    const { code, stdout, stderr } = await curl(`imap://127.0.0.1:${portOf(imap, workload)}/`, user)
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(stdout).toContain('* LIST (\\HasNoChildren) "." INBOX')
    expect(stderr).toMatch(/< \* OK \[CAPABILITY IMAP4rev1 [^\]]*AUTH=PLAIN[^\]]*\] Dovecot/)
    expect(stderr).not.toMatch(/STARTTLS|LOGINDISABLED/)
    await expect
      .poll(() => dovecot.log())
      .toMatch(new RegExp(`imap-login: (?:Info: )?Login: user=<${user}>.*TLS`))
  })

  test(`reads mail by POP3 as ${user}`, async () => {
    const { code, stderr } = await curl(`pop3://127.0.0.1:${portOf(pop3, workload)}/`, user)
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(stderr).not.toContain('STLS')
    await expect
      .poll(() => dovecot.log())
      .toMatch(new RegExp(`pop3-login: (?:Info: )?Login: user=<${user}>.*TLS`))
  })
})

test('a client that says another name is to the server who its workload’s certificate says', async () => {
  const logins = async (user: string): Promise<number> =>
    (await dovecot.log()).split(`imap-login: Info: Login: user=<${user}>`).length
  const [own, others] = [await logins('acme-payments'), await logins('acme-reports')]
  await curl(`imap://127.0.0.1:${portOf(imap, '/payments/api')}/`, 'acme-reports')
  await expect.poll(() => logins('acme-payments')).toBe(own + 1)
  expect(await logins('acme-reports')).toBe(others)
})

test('a client that insists on STARTTLS does not find it', async () => {
  const { code, stderr } = await curl(`imap://127.0.0.1:${portOf(imap, '/payments/api')}/`, 'acme-payments', [
    '--ssl-reqd',
  ])
  expect(code).toBe(64)
  expect(stderr).toContain('STARTTLS not available')
})

test('imaplib appends and fetches a message with a literal', async () => {
  const { code, stdout, stderr } = await python(`import imaplib
c = imaplib.IMAP4('127.0.0.1', ${portOf(imap, '/payments/api')})
c.login('acme-payments', '${PASSWORD}')
print(c.append('INBOX', None, None, b'Subject: x\\r\\n\\r\\n' + b'a STARTTLS\\r\\n' * 100000)[0])
c.select()
print(len(c.fetch('1', '(RFC822)')[1][0][1]))
c.logout()
`)
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'OK\n1200014\n', stderr: '' })
})
