// ldap3 and ldapsearch that speak plaintext inside the workload's tunnel, and an OpenLDAP that wants StartTLS with a
// client certificate: SASL EXTERNAL tells which certificate it saw.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { createWorld, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'
import { type Forwarder, forwarderOf, serverFiles, startGatewayTo, type Workload } from './plain-client.ts'
import { type Slapd, startSlapd } from './slapd.ts'

/** Debian's own, which finds Debian's python3-ldap3. */
const PYTHON = '/usr/bin/python3'

const stack = new AsyncDisposableStack()
let world: World
let slapd: Slapd
let gateway: TestGateway
let payments: Forwarder
let reports: Forwarder

beforeAll(async () => {
  world = stack.use(await createWorld())
  slapd = stack.use(await startSlapd(await serverFiles(world)))
  gateway = stack.use(await startGatewayTo(world, 'ldap', slapd.port))
  const through = async (workload: Workload) =>
    stack.use(await forwarderOf(world, gateway, workload, slapd.port))
  payments = await through('/payments/api')
  reports = await through('/reports/api')
})
afterAll(() => stack.disposeAsync())

async function ldap(
  program: 'ldapwhoami' | 'ldapsearch',
  port: number,
  args: readonly string[],
): Promise<Ran> {
  const env = bareEnvironment(world.directory, { LDAPNOINIT: '1' })
  return run(await needProgram(program), ['-H', `ldap://127.0.0.1:${port}`, ...args], env)
}

/** By SASL EXTERNAL, which libldap does not offer where it speaks no TLS itself; ldap3 does. */
async function whoAmI(port: number): Promise<Ran> {
  const script = `import ldap3
c = ldap3.Connection(ldap3.Server('127.0.0.1', ${port}), authentication=ldap3.SASL, sasl_mechanism='EXTERNAL', sasl_credentials='')
c.bind()
print(c.extend.standard.who_am_i())
`
  return run(PYTHON, ['-I', '-c', script], bareEnvironment(world.directory))
}

const rootDse = ['-x', '-LLL', '-s', 'base', '-b', '', 'supportedExtension']

describe('clients of OpenLDAP', () => {
  test.for<[string, () => Forwarder]>([
    ['acme-payments', () => payments],
    ['acme-reports', () => reports],
  ])('are to the server who the certificate of their workload says: %s', async ([cn, forwarder]) => {
    expect(await whoAmI(forwarder().port)).toEqual({ code: 0, stdout: `dn:cn=${cn}\n`, stderr: '' })
  })

  test('search', async () => {
    const ran = await ldap('ldapsearch', payments.port, rootDse)
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toContain('supportedExtension: 1.3.6.1.4.1.4203.1.11.1')
  })

  test('that ask for StartTLS are told that it is there already, and go on where they may', async () => {
    const must = await ldap('ldapsearch', payments.port, ['-ZZ', ...rootDse])
    expect(must).toMatchObject({ code: 1, stdout: '' })
    expect(must.stderr).toContain('Operations error (1)')
    expect(must.stderr).toContain('TLS is established already between the gateway and the server')
    const may = await ldap('ldapsearch', payments.port, ['-Z', ...rootDse])
    expect(may.code).toBe(0)
    expect(may.stdout).toContain('supportedExtension')
  })

  test('without the gateway are refused by this server', async () => {
    const ran = await ldap('ldapwhoami', slapd.port, ['-x'])
    expect(ran.code).not.toBe(0)
    expect(ran.stderr).toContain('Confidentiality required (13)')
  })
})
