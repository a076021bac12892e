// swaks and curl that speak plaintext SMTP inside the workload's tunnel, and a Postfix that wants STARTTLS with a client
// certificate: its log tells which certificate it saw.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { needProgram, type Ran, run, runWithInput } from '../fixtures/process.ts'
import { createWorld, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'
import { type Forwarder, forwarderOf, serverFiles, startGatewayTo, type Workload } from './plain-client.ts'
import { type Postfix, startPostfix } from './postfix.ts'

const stack = new AsyncDisposableStack()
let world: World
let postfix: Postfix
let gateway: TestGateway
let payments: Forwarder
let reports: Forwarder

beforeAll(async () => {
  world = stack.use(await createWorld())
  postfix = stack.use(await startPostfix(await serverFiles(world)))
  gateway = stack.use(await startGatewayTo(world, 'smtp', postfix.port))
  const through = async (workload: Workload) =>
    stack.use(await forwarderOf(world, gateway, workload, postfix.port))
  payments = await through('/payments/api')
  reports = await through('/reports/api')
})
afterAll(() => stack.disposeAsync())

async function swaks(port: number, more: readonly string[] = []): Promise<Ran> {
  const args = [
    '--server',
    `127.0.0.1:${port}`,
    '--ehlo',
    'workload.test',
    '--from',
    'a@partner.test',
    '--to',
    'b@partner.test',
  ]
  return run(await needProgram('swaks'), [...args, ...more], bareEnvironment(world.directory))
}

describe('clients of Postfix', () => {
  test.for<[string, () => Forwarder]>([
    ['acme-payments', () => payments],
    ['acme-reports', () => reports],
  ])(
    'mail, and are to the server who the certificate of their workload says: %s',
    async ([cn, forwarder]) => {
      const { code, stdout } = await swaks(forwarder().port)
      expect(code).toBe(0)
      expect(stdout).toMatch(/<- {2}220 partner\.test ESMTP/)
      expect(stdout).toMatch(/<- {2}250 2\.0\.0 Ok: queued as/)
      // Its greeting and list as they are, but for the offer of TLS.
      expect(stdout).toMatch(/<- {2}250-PIPELINING/)
      expect(stdout).not.toContain('STARTTLS')
      await expect.poll(() => postfix.log()).toContain(`subject_CN=${cn}, issuer=partner CA`)
    },
  )

  test('mail megabytes, with lines that look like commands', async () => {
    const line = 'STARTTLS\r\nEHLO again\r\n'
    const body = `From: a@partner.test\r\nSubject: big\r\n\r\n${line.repeat(100_000)}`
    const file = await world.file('mail.txt', body)
    const { code, stderr } = await run(
      await needProgram('curl'),
      [
        '--disable',
        '--silent',
        '--show-error',
        '--url',
        `smtp://127.0.0.1:${payments.port}/workload.test`,
        '--mail-from',
        'a@partner.test',
        '--mail-rcpt',
        'b@partner.test',
        '--upload-file',
        file,
      ],
      bareEnvironment(world.directory),
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    await expect.poll(() => postfix.log()).toMatch(/size=2[23]\d{5},/)
  })

  test('that insist on STARTTLS do not find it', async () => {
    const { code, stderr } = await swaks(payments.port, ['--tls'])
    expect(code).toBe(29)
    expect(stderr).toContain('Host did not advertise STARTTLS')
  })

  test('that ask for STARTTLS unasked are told 502, in turn', async () => {
    const script =
      "exec 3<>/dev/tcp/127.0.0.1/$0; cat <&3 & printf 'EHLO x\\r\\n' >&3; sleep 0.3; printf 'STARTTLS\\r\\nQUIT\\r\\n' >&3; wait"
    const { stdout } = await runWithInput(
      '/bin/bash',
      ['-c', script, String(payments.port)],
      null,
      bareEnvironment(world.directory),
    )
    expect(stdout).toMatch(/\r\n502 5\.5\.1 STARTTLS is not offered.*\r\n221 2\.0\.0 Bye\r\n$/)
  })
})
