// `sallyport diagnose` as an engineer runs it: each place at which the way may stop, with real servers.
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { runDiagnose, type RunOptions } from '../../../cli/diagnose/run.ts'
import type { Diagnosis, StepName } from '../../../cli/diagnose/types.ts'
import { startPartner, startTcp } from '../../fixtures/partner.ts'
import { runSallyport } from '../../fixtures/sallyport.ts'
import { createWorld, type World } from '../../fixtures/world.ts'
import { fakeDns } from '../upstream/fake-dns.ts'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const WORKLOAD = 'spiffe://example.org/payments/api'

interface Config {
  readonly destinations: string
  readonly policy?: string
  readonly extra?: string
}

async function writeConfig(world: World, { destinations, policy, extra = '' }: Config): Promise<string> {
  await world.file(
    'policy.cedar',
    policy ??
      '@id("all") permit (principal is Workload, action, resource); @id("nets") permit (principal is Network, action, resource);',
  )
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
  - {name: raw, address: "127.0.0.1:0", protocol: passthrough}
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: one, address: "127.0.0.1:0", protocol: fixed, destination: through}
networks: [{name: legacy-batch, sources: [127.0.0.0/8]}]
destinations:
  - {name: through, hosts: [through.localhost], ports: [8443], tls: passthrough, allowAddresses: [127.0.0.0/8]}
${destinations}
policy: {files: [policy.cedar]}
${extra}`,
  )
}

interface Partner {
  readonly port: number
  readonly keys?: string
}

const partnerAt = ({ port, keys = '' }: Partner) =>
  `  - {name: partner, hosts: [partner.localhost], ports: [${port}], roots: "file:pki/partner-ca.pem", allowAddresses: [127.0.0.0/8]${keys}}`

type Options = Partial<Omit<RunOptions, 'config' | 'to' | 'json'>>

/** In this process: a start of the command costs more than all that it does. */
async function run(options: RunOptions) {
  let [stdout, stderr] = ['', '']
  const code = await runDiagnose(options, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
  })
  return { code, stdout, stderr }
}

async function diagnose(
  file: string,
  to: string,
  options: Options = {},
): Promise<{ code: number; found: Diagnosis }> {
  const who = options.network === undefined ? { workload: WORKLOAD } : {}
  const { code, stdout, stderr } = await run({ config: file, to, ...who, json: true, ...options })
  expect(stderr).toBe('')
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  return { code, found: JSON.parse(stdout) as Diagnosis }
}

/** What became of each step, those alone that came to something. */
function results({ steps }: Diagnosis): Partial<Record<StepName, string>> {
  return Object.fromEntries(
    steps.filter(({ result }) => result !== '-').map(({ step, result }) => [step, result]),
  )
}

const REACHED = {
  ...{ listener: 'ok', destination: 'ok', policy: 'ok', resolve: 'ok', address: 'ok', connect: 'ok' },
  ...{ tls: 'ok', 'client certificate': 'ok' },
}

/** A client certificate for the workload, and the keys of a destination that use it. */
async function bank(world: World, ca = world.partnerCa): Promise<string> {
  const issued = await ca.issue({ cn: 'acme-payments', eku: [CLIENT_AUTH] })
  await world.file('pki/bank.pem', issued.chainPem)
  await world.file('pki/bank.key', issued.keyPem)
  return ', clientCertificates: [{workloads: ["spiffe://example.org/payments/**"], certificate: file:pki/bank.pem, key: file:pki/bank.key}]'
}

describe('sallyport diagnose', () => {
  test('all well: every step, what was shown and what the server showed, and exit 0', async () => {
    await using world = await createWorld()
    const keys = await bank(world)
    const ca = world.partnerCa.pem
    const options = { name: 'partner.localhost', requestCert: true, ca }
    await using partner = await startPartner(world, (socket) => socket.resume(), options)
    const file = await writeConfig(world, { destinations: partnerAt({ port: partner.port, keys }) })
    const { code, found } = await diagnose(file, `partner.localhost:${partner.port}`)
    expect(code).toBe(0)
    expect(found).toMatchObject({
      ok: true,
      code: null,
      destination: 'partner',
      asked: { workload: WORKLOAD, listener: 'proxy', host: 'partner.localhost', port: partner.port },
      clientCertificate: { entry: 0, subject: 'CN=acme-payments', askedFor: true },
      upstream: { nameProof: 'certificate', serverName: 'partner.localhost', tlsVersion: 'TLSv1.3' },
    })
    expect(results(found)).toEqual(REACHED)
    expect(found.serverChain[0]).toMatchObject({ names: 'DNS:partner.localhost', issuer: 'CN=partner CA' })
    expect(found.serverChain[0]?.sha256).toBe(found.upstream?.certificateSha256)
    expect(found.addresses).toContainEqual({ address: '127.0.0.1', class: 'loopback', permitted: true })
    expect(found.attempts).toContainEqual(
      expect.objectContaining({ endpoint: `127.0.0.1:${partner.port}`, result: 'up' }),
    )
  })

  test('as text it is a table that ends with what to do', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.resume(), { name: 'other.localhost' })
    const file = await writeConfig(world, { destinations: partnerAt({ port: partner.port }) })
    const args = ['--config', file, '--workload', WORKLOAD, '--to', `partner.localhost:${partner.port}`]
    const { code, stdout } = await runSallyport(['diagnose', ...args])
    expect(code).toBe(1)
    const lines = stdout.trimEnd().split('\n')
    expect(lines[0]).toBe(
      `${WORKLOAD} from 127.0.0.1, by listener proxy, asks for partner.localhost:${partner.port}`,
    )
    expect(stdout).toMatch(/^policy +ok +[\d.]+ {2}allowed by all \(.*policy\.cedar:1\)$/m)
    expect(stdout).toMatch(/^connect +ok +[\d.]+ {2}/m)
    expect(stdout).toMatch(
      /^tls +NO +[\d.]+ {2}partner\.localhost: the certificate is for DNS:other\.localhost$/m,
    )
    expect(stdout).toMatch(/^ +names DNS:other\.localhost$/m)
    expect(stdout).toMatch(/^client certificate +-$/m)
    expect(lines.at(-2)).toMatch(/^No: upstream-tls-name-mismatch: /)
    expect(lines.at(-1)).toMatch(/^To do: .*serverName of destination "partner"/)
  })
})

describe('sallyport diagnose stops', () => {
  test.for<[string, Config, string, Options, string, Partial<Record<StepName, string>>, RegExp]>([
    [
      'at an unknown destination',
      { destinations: '' },
      'elsewhere.example:443',
      {},
      'destination-unknown',
      { listener: 'ok', destination: 'no' },
      /add a destination/,
    ],
    [
      'at a port that the destination has not',
      { destinations: partnerAt({ port: 5432 }) },
      'partner.localhost:5433',
      {},
      'destination-unknown',
      { listener: 'ok', destination: 'no' },
      /add 5433 to the ports/,
    ],
    [
      'where a passthrough listener leads to no such destination',
      { destinations: partnerAt({ port: 5432 }) },
      'partner.localhost:5432',
      { network: 'legacy-batch' },
      'destination-unknown',
      { listener: 'ok', destination: 'no' },
      /another listener than raw/,
    ],
    [
      'at a listener that leads elsewhere',
      { destinations: partnerAt({ port: 5432 }) },
      'partner.localhost:5432',
      { listener: 'one' },
      'destination-unknown',
      { listener: 'no' },
      /another --listener/,
    ],
    [
      'at a workload of a trust domain that the listener does not take',
      { destinations: partnerAt({ port: 5432 }) },
      'partner.localhost:5432',
      { workload: 'spiffe://other.org/x' },
      'client-trust-domain-unknown',
      { listener: 'no' },
      /list other\.org in trustDomains of listener proxy/,
    ],
    [
      'at policy that permits nothing',
      {
        destinations: partnerAt({ port: 5432 }),
        policy: '@id("ci") permit (principal in Path::"spiffe://example.org/ci", action, resource);',
      },
      'partner.localhost:5432',
      {},
      'policy-denied',
      { listener: 'ok', destination: 'ok', policy: 'no' },
      /^add a permit for Workload::"spiffe:\/\/example\.org\/payments\/api" and Destination::"partner" to the policy$/,
    ],
    [
      'at policy that forbids it',
      {
        destinations: partnerAt({ port: 5432 }),
        policy:
          '@id("all") permit (principal is Workload, action, resource); @id("night") forbid (principal, action, resource) when { context.sourceIp == ip("10.1.2.3") };',
      },
      'partner.localhost:5432',
      { sourceIp: '10.1.2.3' },
      'policy-denied',
      { listener: 'ok', destination: 'ok', policy: 'no' },
      /the forbid night applies/,
    ],
    [
      'at a private address',
      { destinations: '  - {name: inside, hosts: [10.1.2.3], ports: [443]}' },
      '10.1.2.3:443',
      {},
      'address-private',
      { listener: 'ok', destination: 'ok', policy: 'ok', resolve: 'ok', address: 'no' },
      /allowAddresses of destination "inside"/,
    ],
    [
      'at an address of the VPC, which is public elsewhere',
      {
        destinations: '  - {name: inside, hosts: [198.45.2.3], ports: [443]}',
        extra: 'addresses: {vpcCidrs: [198.45.0.0/16]}',
      },
      '198.45.2.3:443',
      {},
      'address-vpc',
      { listener: 'ok', destination: 'ok', policy: 'ok', resolve: 'ok', address: 'no' },
      /allowAddresses of destination "inside"/,
    ],
    [
      'at a port of the gateway itself',
      {
        destinations:
          '  - {name: self, hosts: [self.localhost], ports: [9902], allowAddresses: [127.0.0.0/8]}',
        extra: 'health: {address: "0.0.0.0:9902"}',
      },
      'self.localhost:9902',
      {},
      'address-own-listener',
      { listener: 'ok', destination: 'ok', policy: 'ok', resolve: 'ok', address: 'no' },
      /./,
    ],
  ])('%s', async ([, config, to, more, wanted, steps, advice]) => {
    await using world = await createWorld()
    const { code, found } = await diagnose(await writeConfig(world, config), to, more)
    expect(code).toBe(1)
    expect(found).toMatchObject({ ok: false, code: wanted })
    expect(results(found)).toEqual(steps)
    expect(found.advice).toMatch(advice)
    if (wanted === 'address-vpc') {
      expect(found.addresses).toEqual([{ address: '198.45.2.3', class: 'vpc', permitted: false }])
    }
  })

  test('at a name that does not exist', async () => {
    await using world = await createWorld()
    await using dns = await fakeDns(() => ({ rcode: 3 }))
    const destinations = '  - {name: gone, hosts: [gone.example], ports: [443]}'
    const file = await writeConfig(world, { destinations, extra: `dns: {servers: ["${dns.address}"]}` })
    const { code, found } = await diagnose(file, 'gone.example:443')
    expect({ code, ...results(found) }).toEqual({
      code: 1,
      listener: 'ok',
      destination: 'ok',
      policy: 'ok',
      resolve: 'no',
    })
    expect(found).toMatchObject({ code: 'dns-not-found', advice: expect.stringContaining('dns.servers') })
  })

  test('at a port that refuses, with every attempt', async () => {
    await using world = await createWorld()
    const closed = net.createServer()
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const { port } = closed.address() as net.AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    const file = await writeConfig(world, {
      destinations: partnerAt({ port, keys: ', connect: {attempts: 2}' }),
    })
    const { code, found } = await diagnose(file, `partner.localhost:${port}`)
    expect(code).toBe(1)
    expect(found).toMatchObject({
      code: 'connect-refused',
      advice: expect.stringContaining('listening on this port'),
    })
    expect(results(found)).toMatchObject({ address: 'ok', connect: 'no' })
    expect(found.attempts).toContainEqual(
      expect.objectContaining({ endpoint: `127.0.0.1:${port}`, result: 'connect-refused' }),
    )
  })

  test('at a certificate of the server that has expired, and shows it', async () => {
    await using world = await createWorld()
    const old = await world.partnerCa.issue({
      ...{ cn: 'partner.localhost', dns: ['partner.localhost'] },
      notBefore: new Date('2020-01-01T00:00:00Z'),
      notAfter: new Date('2021-01-01T00:00:00Z'),
    })
    const options = { cert: old.chainPem, key: old.keyPem }
    await using partner = await startPartner(world, (socket) => socket.resume(), options)
    const file = await writeConfig(world, { destinations: partnerAt({ port: partner.port }) })
    const { code, found } = await diagnose(file, `partner.localhost:${partner.port}`)
    expect(code).toBe(1)
    expect(found).toMatchObject({
      code: 'upstream-tls-certificate-expired',
      advice: expect.stringContaining('must renew it'),
    })
    expect(found.serverChain[0]).toMatchObject({ notAfter: '2021-01-01T00:00:00.000Z' })
    expect(results(found)).toMatchObject({ connect: 'ok', tls: 'no' })
    expect(found.steps.find(({ step }) => step === 'tls')?.notes.join('\n')).toMatch(/EXPIRED, \d+ days ago/)
  })

  test.for<[string, boolean, string, RegExp]>([
    [
      'required and none is configured',
      false,
      'upstream-tls-client-certificate-required',
      /add clientCertificates/,
    ],
    ['refused', true, 'upstream-tls-client-certificate-refused', /must trust its issuer/],
  ])('at a client certificate that is %s', async ([, configured, wanted, advice]) => {
    await using world = await createWorld()
    const keys = configured ? await bank(world, world.issuing) : ''
    const options = {
      name: 'partner.localhost',
      requestCert: true,
      rejectUnauthorized: true,
      ca: world.partnerCa.pem,
    }
    await using partner = await startPartner(world, (socket) => socket.resume(), options)
    const file = await writeConfig(world, { destinations: partnerAt({ port: partner.port, keys }) })
    const { code, found } = await diagnose(file, `partner.localhost:${partner.port}`)
    expect(code).toBe(1)
    expect(found).toMatchObject({ code: wanted })
    expect(found.advice).toMatch(advice)
    expect(found.clientCertificate === null).toBe(!configured)
    if (configured) expect(found.clientCertificate).toMatchObject({ entry: 0, askedFor: true })
    expect(results(found)).toEqual({ ...REACHED, 'client certificate': 'no' })
  })

  test('at a server that speaks no TLS', async () => {
    await using world = await createWorld()
    await using server = await startTcp((raw) => void raw.write('220 mail\r\n'))
    const file = await writeConfig(world, { destinations: partnerAt({ port: server.port }) })
    const { found } = await diagnose(file, `partner.localhost:${server.port}`)
    expect(found).toMatchObject({ code: 'upstream-tls-plaintext' })
  })
})

describe('sallyport diagnose, where the client speaks TLS itself,', () => {
  const passthrough = (port: number) =>
    `  - {name: raw-partner, hosts: [partner.localhost], ports: [${port}], tls: passthrough, serverNames: [www.localhost], allowAddresses: [127.0.0.0/8]}`

  test.for<[string, Options, number, string | null, Partial<Record<StepName, string>>, RegExp]>([
    ['ends at TCP and says so', {}, 0, null, { connect: 'ok' }, /--server-name/],
    [
      'tries the name that the client would show',
      { serverName: 'partner.localhost' },
      0,
      null,
      { connect: 'ok', name: 'ok', tls: 'ok' },
      /^nothing here: the server answers TLS/,
    ],
    [
      'takes a name of serverNames',
      { serverName: 'www.localhost' },
      0,
      null,
      { connect: 'ok', name: 'ok', tls: 'ok' },
      /answers TLS/,
    ],
    [
      'refuses the name that the gateway would refuse',
      { serverName: 'evil.example' },
      1,
      'name-mismatch',
      { connect: 'ok', name: 'no' },
      /serverNames of destination "raw-partner"/,
    ],
    ['does the same for a network', { network: 'legacy-batch' }, 0, null, { connect: 'ok' }, /--server-name/],
  ])('%s', async ([, more, exit, wanted, steps, advice]) => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.resume(), {
      name: 'partner.localhost',
    })
    const file = await writeConfig(world, { destinations: passthrough(partner.port) })
    const { code, found } = await diagnose(file, `partner.localhost:${partner.port}`, more)
    expect({ code, reason: found.code }).toEqual({ code: exit, reason: wanted })
    expect(found.advice).toMatch(advice)
    expect(results(found)).toEqual({
      ...{ listener: 'ok', destination: 'ok', policy: 'ok', resolve: 'ok', address: 'ok' },
      ...steps,
    })
  })

  test('says that a server gives no TLS to the name', async () => {
    await using world = await createWorld()
    await using server = await startTcp((raw) => raw.end('no TLS here\r\n'))
    const file = await writeConfig(world, { destinations: passthrough(server.port) })
    const { code, found } = await diagnose(file, `partner.localhost:${server.port}`, {
      serverName: 'partner.localhost',
    })
    expect({ code, reason: found.code }).toEqual({ code: 1, reason: 'upstream-tls-plaintext' })
  })
})

describe('wrong use of sallyport diagnose', () => {
  const to = 'a.example:443'
  const who = { to, workload: WORKLOAD }
  test.for<[string, Options & { readonly to: string }, RegExp]>([
    ['nobody asks', { to }, /say who asks: --workload/],
    ['two ask', { ...who, network: 'x' }, /say who asks/],
    ['no SPIFFE ID', { to, workload: 'payments' }, /--workload: expected a SPIFFE ID/],
    ['no port', { ...who, to: 'a.example' }, /--to: expected host:port/],
    ['a Unicode name', { ...who, to: 'bänk.example:443' }, /--to: .*xn--bnk-qla\.example/],
    ['an unknown listener', { ...who, listener: 'x' }, /configuration has proxy, one/],
    ['an unknown network', { to, network: 'x' }, /configuration has legacy-batch/],
    ['no address', { ...who, sourceIp: '127.1' }, /--source-ip/],
    ['no name', { ...who, serverName: 'a..b' }, /--server-name: the host has an empty label/],
    ['an address for a name', { ...who, serverName: '10.0.0.1' }, /no ClientHello names an address/],
  ])('%s: exit 2', async ([, options, message]) => {
    await using world = await createWorld()
    const file = await writeConfig(world, { destinations: '' })
    const { code, stdout, stderr } = await run({ config: file, ...options })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  test('an option that is missing is told before anything is read: exit 2', async () => {
    const { code, stderr } = await runSallyport(['diagnose', '--config', 'x', '--workload', WORKLOAD])
    expect(code).toBe(2)
    expect(stderr).toMatch(/--to/)
  })

  test('a configuration that is wrong is a "no", told as config check tells it', async () => {
    await using world = await createWorld()
    const file = await writeConfig(world, { destinations: '', extra: 'lisseners: []' })
    const { code, stderr } = await run({ config: file, ...who })
    expect(code).toBe(1)
    expect(stderr).toMatch(/gateway\.yaml:\d+: lisseners/)
    const { stdout } = await run({ config: file, ...who, json: true })
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, faults: [{ key: 'lisseners' }] })
  })
})
