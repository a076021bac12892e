// `sallyport policy …` as an engineer runs it, on files alone: no certificate and no key is there.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Explained } from '../../../cli/policy/explain.ts'
import { runExplain } from '../../../cli/policy/explain.ts'
import { type Matrix, runMatrix } from '../../../cli/policy/matrix.ts'
import { runReplay } from '../../../cli/policy/replay.ts'
import type { Replay } from '../../../cli/policy/tally.ts'
import { runPolicyTest } from '../../../cli/policy/test-run.ts'
import { REPOSITORY, runSallyport } from '../../fixtures/sallyport.ts'

const CONFIG = `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/none.pem, key: pki/none.key, bundle: pki/none-bundle.pem}
networks: [{name: legacy-batch, sources: [10.0.4.0/24]}]
listeners:
  - {name: raw, address: "127.0.0.1:0", protocol: passthrough}
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}
destinations:
  - name: partner-bank
    hosts: [api.bank.example]
    ports: [443]
    tags: [pci]
    requestedAs: ["240.0.0.7:443"]
    clientCertificates:
      - {workloads: ["spiffe://example.org/billing/**"], certificate: file:pki/none.pem, key: file:pki/none.key}
  - {name: reports, hosts: ["*.reports.example"], ports: [443], policyMode: report}
  - {name: feeds, hosts: [feeds.example], ports: [443], tls: passthrough}
policy: {files: [policy.cedar, more.cedar]}
`
const POLICY = `@id("payments-to-bank") @owner("payments") @ticket("SEC-123") @reason("card settlement")
permit (principal in Path::"spiffe://example.org/payments", action, resource == Destination::"partner-bank")
when { context.now < datetime("2027-06-30T00:00:00Z") && context.listener == "proxy" }
unless { context.sourceIp.isInRange(ip("10.66.0.0/16")) };

@id("no-stolen") @owner("security") @reason("stolen laptop")
forbid (principal, action, resource in Tag::"pci") when { context.serialNumber == "5f0a" };
`
const MORE = `@id("feeds") permit (principal == Network::"legacy-batch", action, resource == Destination::"feeds");
@id("broken") forbid (principal, action, resource == Destination::"reports")
when { resource.host == "broken.reports.example" && resource.port * 9223372036854775807 > 0 };
`

interface Place extends AsyncDisposable {
  file(name: string, text: string): Promise<string>
  readonly config: string
}

async function createPlace(): Promise<Place> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sallyport-policy-'))
  const file = async (name: string, text: string) => {
    await writeFile(path.join(directory, name), text)
    return path.join(directory, name)
  }
  await file('policy.cedar', POLICY)
  await file('more.cedar', MORE)
  return {
    file,
    config: await file('gateway.yaml', CONFIG),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}

function collect() {
  const written = { stdout: '', stderr: '' }
  const output = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
  }
  return { output, written }
}

const WORKLOAD = 'spiffe://example.org/payments/api'
const AT = '2026-12-01T00:00:00Z'

describe('policy explain', () => {
  type Options = Partial<Parameters<typeof runExplain>[0]>
  async function ask(options: Options) {
    await using place = await createPlace()
    const asked = { to: 'api.bank.example:443', at: AT, config: place.config, ...options }
    const [text, json] = [collect(), collect()]
    const code = await runExplain(asked, text.output)
    await runExplain({ ...asked, json: true }, json.output)
    const { stdout, stderr } = text.written
    const explained = code === 2 ? null : (JSON.parse(json.written.stdout) as Explained)
    return { code, stdout: stdout.replaceAll(path.dirname(place.config), ''), stderr, explained }
  }

  test('an allowed question: by which policy, whose, and until when', async () => {
    const { code, stdout, explained } = await ask({ workload: WORKLOAD })
    expect(code).toBe(0)
    expect(
      stdout,
    ).toBe(`spiffe://example.org/payments/api from 127.0.0.1, by listener proxy, asks for api.bank.example:443 at 2026-12-01T00:00:00.000Z
destination partner-bank, tags pci

ALLOWED by
  payments-to-bank (/policy.cedar:1; owner payments; ticket SEC-123; reason: card settlement)

Time may change this answer at 2027-06-30T00:00:00.000Z.
`)
    expect(explained).toMatchObject({
      ...{ result: 'allow', code: null, mode: 'enforce', recheckAt: '2027-06-30T00:00:00.000Z', nearest: [] },
      decidedBy: [{ id: 'payments-to-bank', effect: 'permit', owner: 'payments', line: 1 }],
    })
  })

  test('each condition that is missing, and none that is met', async () => {
    const { code, stdout } = await ask({
      ...{ workload: WORKLOAD, at: '2027-07-01', listener: 'mesh', sourceIp: '::ffff:10.66.1.2' },
    })
    expect(code).toBe(1)
    expect(stdout).toContain(`DENIED: no permit applies

Nearest permits, and what would have to be true for each:
  payments-to-bank (/policy.cedar:1; owner payments; ticket SEC-123; reason: card settlement)
    context.now < datetime("2027-06-30T00:00:00Z")
    context.listener == "proxy"
    not: context.sourceIp.isInRange(ip("10.66.0.0/16"))
`)
  })

  test('a side of the scope that is missing', async () => {
    const { explained } = await ask({ workload: 'spiffe://example.org/orders/api' })
    expect(explained?.nearest.map(({ id }) => id)).toEqual(['payments-to-bank'])
    expect(explained?.nearest[0]?.clauses.filter(({ met }) => !met)).toEqual([
      {
        part: 'principal',
        text: 'principal in Path::"spiffe://example.org/payments"',
        met: false,
        error: null,
      },
    ])
  })

  test('the forbid that applies', async () => {
    const { code, stdout } = await ask({ workload: WORKLOAD, serial: '5f0a' })
    expect(code).toBe(1)
    expect(stdout).toContain(
      'DENIED: forbidden by\n  no-stolen (/policy.cedar:6; owner security; reason: stolen laptop)\n',
    )
    expect(stdout).not.toContain('Nearest')
  })

  test('the policy that fails, also where the mode is report', async () => {
    const { code, stdout, explained } = await ask({ workload: WORKLOAD, to: 'broken.reports.example:443' })
    expect(code).toBe(1)
    expect(explained).toMatchObject({ code: 'policy-error', mode: 'report' })
    expect(stdout).toContain(
      'DENIED: a policy failed\n  broken (/more.cedar:2)\n  policy "broken": integer overflow',
    )
  })

  test('what mode report lets through', async () => {
    const { code, stdout } = await ask({ workload: WORKLOAD, to: 'a.reports.example:443' })
    expect(code).toBe(0)
    expect(stdout).toContain('LET THROUGH in mode report, and would be denied: no permit applies\n')
  })

  test('an address by which a mesh asks, and a host that no destination has', async () => {
    expect((await ask({ workload: WORKLOAD, to: '240.0.0.7:443' })).stdout).toContain(
      'destination partner-bank, tags pci, which means api.bank.example:443\n\nALLOWED',
    )
    const unknown = await ask({ workload: WORKLOAD, to: 'elsewhere.example:443' })
    expect(unknown).toMatchObject({ code: 1, explained: { code: 'destination-unknown', destination: null } })
  })

  test('a network, which reaches passthrough alone', async () => {
    expect(await ask({ network: 'legacy-batch', to: 'feeds.example:443' })).toMatchObject({ code: 0 })
    expect(await ask({ network: 'legacy-batch' })).toMatchObject({
      explained: { code: 'destination-unknown' },
    })
  })

  test.each<[string, Options, string]>([
    ['nobody asks', {}, 'say who asks'],
    ['no SPIFFE ID', { workload: 'payments' }, '--workload: expected a SPIFFE ID'],
    ['no port', { workload: WORKLOAD, to: 'api.bank.example' }, '--to: expected host:port'],
    [
      'no listener of that name',
      { workload: WORKLOAD, listener: 'raw' },
      '--listener: no raw that lets a workload in; the configuration has proxy, mesh',
    ],
    [
      'a serial number in capitals',
      { workload: WORKLOAD, serial: '5F' },
      '--serial: expected lower-case hex',
    ],
    [
      'a time without zone',
      { workload: WORKLOAD, at: '2027-06-30T12:00:00' },
      '--at: expected a time such as',
    ],
    ['no address', { workload: WORKLOAD, sourceIp: 'here' }, '--source-ip: expected an IP address'],
    ['no such network', { network: 'x' }, '--network: there is no x; the configuration has legacy-batch'],
  ])('wrong use: %s', async (_, options, message) => {
    const { code, stdout, stderr } = await ask(options)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})

describe('policy matrix', () => {
  test('who reaches what: certain where it is, and open where it depends', async () => {
    await using place = await createPlace()
    const workloads = await place.file(
      'workloads.txt',
      `# more\n${WORKLOAD}\nspiffe://example.org/x/** # path\n`,
    )
    const { output, written } = collect()
    expect(await runMatrix({ config: place.config, workloads, at: AT, json: true }, output)).toBe(0)
    const matrix = JSON.parse(written.stdout) as Matrix
    expect(matrix.destinations).toEqual(['partner-bank', 'reports', 'feeds'])
    const table = matrix.rows.map(({ who, fields }) => [who, ...fields.map(({ result }) => result)])
    expect(table).toEqual([
      ['network legacy-batch', 'deny', 'deny', 'allow'],
      ['spiffe://example.org/**', 'conditional', 'deny', 'deny'],
      ['spiffe://example.org/billing/**', 'deny', 'deny', 'deny'],
      ['spiffe://example.org/payments/**', 'conditional', 'deny', 'deny'],
      ['spiffe://example.org/payments/api', 'conditional', 'deny', 'deny'],
      ['spiffe://example.org/x/**', 'deny', 'deny', 'deny'],
    ])
    expect(matrix.rows[4]?.fields[0]?.policies).toEqual(['payments-to-bank', 'no-stolen'])
  })

  test('a permit without conditions is certain, until its day', async () => {
    await using place = await createPlace()
    await place.file(
      'policy.cedar',
      '@id("a") permit (principal in Path::"spiffe://example.org/payments", action, resource == Destination::"partner-bank") when { context.now < datetime("2027-06-30") };',
    )
    const fieldAt = async (at: string) => {
      const { output, written } = collect()
      await runMatrix({ config: place.config, at, json: true }, output)
      const rows = (JSON.parse(written.stdout) as Matrix).rows
      return rows.find(({ who }) => who.endsWith('/payments/**'))?.fields[0]
    }
    expect(await fieldAt(AT)).toEqual({ destination: 'partner-bank', result: 'allow', policies: ['a'] })
    expect(await fieldAt('2027-06-30')).toEqual({ destination: 'partner-bank', result: 'deny', policies: [] })
  })

  test('as a table, and with the faults of a file of workloads', async () => {
    await using place = await createPlace()
    const table = collect()
    expect(await runMatrix({ config: place.config, at: AT }, table.output)).toBe(0)
    expect(table.written.stdout).toContain('network legacy-batch              ·      ·      allow\n')
    expect(table.written.stdout).toContain('  network legacy-batch → feeds: allow, feeds\n')
    const workloads = await place.file('workloads.txt', '\nspiffe://example.org/*/x\n')
    const bad = collect()
    expect(await runMatrix({ config: place.config, workloads }, bad.output)).toBe(1)
    expect(bad.written.stderr).toMatch(/workloads\.txt:2: a wildcard is the whole last segment/)
    expect(await runMatrix({ config: place.config, at: 'soon' }, collect().output)).toBe(2)
  })
})

describe('policy replay', () => {
  const record = (changes: object) =>
    JSON.stringify({
      event: 'session',
      id: '01K',
      openedAt: '2026-11-25T10:00:00.000Z',
      listener: 'proxy',
      source: { ip: '10.0.1.7', port: 50122, vpcEndpoint: null },
      workload: WORKLOAD,
      network: null,
      serialNumber: '01',
      requested: { host: 'api.bank.example', port: 443, serverName: null },
      decision: { result: 'allow', mode: 'enforce', policies: ['payments-to-bank'], cached: false },
      ...changes,
    })
  const DENIED = { decision: { result: 'deny', mode: 'enforce', policies: [], cached: false } }

  async function replay(lines: readonly string[], candidate: string) {
    await using place = await createPlace()
    const audit = await place.file('audit.jsonl', lines.map((line) => `${line}\n`).join(''))
    const policy = await place.file('new.cedar', candidate)
    const options = { config: place.config, audit: [audit], policy: [policy] }
    const [text, json] = [collect(), collect()]
    const code = await runReplay(options, text.output)
    await runReplay({ ...options, json: true }, json.output)
    return { code, ...text.written, replay: JSON.parse(json.written.stdout) as Replay }
  }

  test('what would be refused and what newly allowed, each by who, where and which policies', async () => {
    const candidate =
      '@id("new") permit (principal in Path::"spiffe://example.org/orders", action, resource) when { context.now < datetime("2026-11-25T12:00:00Z") };'
    const orders = { workload: 'spiffe://example.org/orders/api', ...DENIED }
    const {
      code,
      stdout,
      replay: found,
    } = await replay(
      [
        record({ id: '01A' }),
        record({ id: '01B', openedAt: '2026-11-25T11:00:00.000Z' }),
        record({ id: '01C', ...orders }),
        // Past the candidate's end, at the session's own time.
        record({ id: '01D', ...orders, openedAt: '2026-11-25T13:00:00.000Z' }),
      ],
      candidate,
    )
    expect(code).toBe(1)
    expect(found).toMatchObject({ compared: 4, refused: { sessions: 2 }, allowed: { sessions: 1 } })
    expect(found.refused.groups).toEqual([
      {
        ...{
          workload: WORKLOAD,
          network: null,
          destination: 'partner-bank',
          host: 'api.bank.example',
          port: 443,
        },
        ...{ before: ['payments-to-bank'], after: [], error: null, sessions: 2 },
        ...{ firstId: '01A', firstAt: '2026-11-25T10:00:00.000Z', lastAt: '2026-11-25T11:00:00.000Z' },
      },
    ])
    expect(stdout).toContain('4 sessions compared: 2 would be refused, 1 newly allowed.')
    expect(stdout).toContain(
      '  1 × spiffe://example.org/orders/api → partner-bank (api.bank.example:443): then no policy, now new; first 01C at 2026-11-25T10:00:00.000Z',
    )
  })

  test('serial number, listener, address, VPC endpoint and network are those of the record', async () => {
    const candidate = `
      @id("a") permit (principal is Workload, action, resource) when { context.serialNumber == "5f" && context.listener == "mesh"
        && context.sourceIp == ip("10.9.9.9") && context has vpcEndpoint && context.vpcEndpoint == "vpce-1" };
      @id("n") permit (principal == Network::"legacy-batch", action, resource);`
    const same = {
      serialNumber: '5f',
      listener: 'mesh',
      source: { ip: '::ffff:10.9.9.9', port: 1, vpcEndpoint: 'vpce-1' },
    }
    const network = {
      workload: null,
      network: 'legacy-batch',
      serialNumber: null,
      requested: { host: 'feeds.example', port: 443 },
    }
    expect(await replay([record(same), record(network)], candidate)).toMatchObject({
      code: 0,
      replay: { compared: 2, refused: { sessions: 0 }, allowed: { sessions: 0 } },
    })
    expect(await replay([record({ ...same, serialNumber: '5e' })], candidate)).toMatchObject({ code: 1 })
  })

  test('what cannot be asked about is counted by why, and nothing is guessed', async () => {
    const { replay: found, stdout } = await replay(
      [
        record({}),
        record({ decision: null, workload: null, requested: null }),
        record({ requested: { host: 'gone.example', port: 443 } }),
        record({ event: 'session.opened' }),
        '{"event":"ready"}',
        record({ workload: 'spiffe://example.org/long…[cut]' }),
        record({ decision: { result: 'maybe' } }),
        '{"event":"session"',
        'x'.repeat(200_000),
        '',
      ],
      POLICY,
    )
    expect(found).toMatchObject({
      compared: 1,
      refused: { sessions: 0 },
      skipped: { undecided: 1, destinationGone: 1, otherEvents: 2, unreadable: 5 },
    })
    expect(stdout).toContain(
      'Skipped: 1 sessions without a decision, 1 to no destination of this configuration, 2 other events, 5 lines that cannot be read.',
    )
  })

  test('a policy that fails would refuse, and is named', async () => {
    const { replay: found } = await replay(
      [record({})],
      '@id("x") permit (principal is Workload, action, resource) when { resource.port * 9223372036854775807 > 0 };',
    )
    expect(found.refused.groups[0]).toMatchObject({
      after: ['x'],
      error: expect.stringContaining('overflow'),
    })
  })

  test('files that are wrong are faults', async () => {
    await using place = await createPlace()
    const run = async (audit: string, policy: string) => {
      const { output, written } = collect()
      return {
        code: await runReplay({ config: place.config, audit: [audit], policy: [policy] }, output),
        ...written,
      }
    }
    const good = await place.file('good.cedar', POLICY)
    const bad = await place.file('bad.cedar', '@id("x")\npermit (principal, action, resource);')
    expect(await run('/nothing.jsonl', good)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('/nothing.jsonl: no such file'),
    })
    expect(await run('/nothing.jsonl', '/nothing.cedar')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('/nothing.cedar: no such file'),
    })
    expect(await run('/nothing.jsonl', bad)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('bad.cedar:1: policy "x": a permit for any'),
    })
  })
})

describe('policy test', () => {
  const table = (cases: string) => `version: 1\nconfig: gateway.yaml\ncases:\n${cases}`
  async function run(text: string) {
    await using place = await createPlace()
    const file = await place.file('policy.test.yaml', text)
    const { output, written } = collect()
    const code = await runPolicyTest([file], {}, output)
    return { code, stdout: written.stdout.replaceAll(path.dirname(file), ''), stderr: written.stderr }
  }

  test('all as expected', async () => {
    const { code, stdout } = await run(
      table(`
  - {name: a, workload: ${WORKLOAD}, to: "api.bank.example:443", at: 2026-12-01, expect: allow, policies: [payments-to-bank]}
  - {name: b, workload: ${WORKLOAD}, to: "api.bank.example:443", at: 2027-12-01, expect: deny, policies: []}
  - {name: c, workload: ${WORKLOAD}, to: "api.bank.example:443", at: 2026-12-01, serialNumber: "5f0a", expect: deny, policies: [no-stolen]}
  - {name: d, workload: ${WORKLOAD}, to: "api.bank.example:443", at: 2026-12-01, sourceIp: 10.66.0.1, listener: proxy, expect: deny}
  - {name: e, network: legacy-batch, to: "feeds.example:443", vpcEndpoint: vpce-1, expect: allow}
  - {name: f, workload: ${WORKLOAD}, to: "a.reports.example:443", expect: deny}
`),
    )
    expect({ code, stdout }).toEqual({ code: 0, stdout: '6 cases, 0 not as expected\n' })
  })

  test('what is not as expected: place, difference and explanation', async () => {
    const { code, stdout } = await run(
      table(`
  - {name: good, network: legacy-batch, to: "feeds.example:443", expect: allow}
  - {name: wrong result, workload: ${WORKLOAD}, to: "api.bank.example:443", at: 2027-12-01, expect: allow}
  - {name: wrong policy, workload: ${WORKLOAD}, to: "api.bank.example:443", at: 2026-12-01, expect: allow, policies: [other]}
`),
    )
    expect(code).toBe(1)
    expect(stdout).toContain(`NOT AS EXPECTED /policy.test.yaml:6: wrong result
  - expected allow
  + found    deny by no policy
`)
    expect(stdout).toContain('      payments-to-bank (/policy.cedar:1; owner payments;')
    expect(stdout).toContain(`NOT AS EXPECTED /policy.test.yaml:7: wrong policy
  - expected allow by other
  + found    allow by payments-to-bank
`)
    expect(stdout).toMatch(/3 cases, 2 not as expected\n$/)
  })

  test('a case that cannot be asked is a fault at its line', async () => {
    const { code, stderr } = await run(
      table(`
  - {name: a, workload: payments, to: "api.bank.example:443", expect: allow}
  - name: b
    workload: ${WORKLOAD}
    to: api.bank.example
    expect: allow
  - {name: c, to: "api.bank.example:443", expect: allow}
  - {name: d, workload: ${WORKLOAD}, to: "api.bank.example:443", sourceIp: x, expect: allow}
`),
    )
    expect(code).toBe(1)
    expect(stderr).toMatch(/policy\.test\.yaml:5: cases\[0\]\.workload: expected a SPIFFE ID/)
    expect(stderr).toMatch(/policy\.test\.yaml:8: cases\[1\]\.to: expected host:port/)
    expect(stderr).toMatch(/policy\.test\.yaml:10: cases\[2\]: say who asks: workload or network/)
    expect(stderr).toMatch(/policy\.test\.yaml:11: cases\[3\]\.sourceIp: expected an IP address/)
  })

  test('keys and values are checked', async () => {
    const { code, stderr } = await run(table('  - {name: a, workload: x, to: y, expects: allow}\n'))
    expect(code).toBe(1)
    expect(stderr).toContain('cases[0].expects: unknown key "expects" (did you mean "expect"?)')
  })
})

describe('as a command of its own', () => {
  test('the tests of examples/partner pass', async () => {
    const found = await runSallyport(['policy', 'test', 'examples/partner/policy.test.yaml'], {
      cwd: REPOSITORY,
    })
    expect(found).toEqual({ code: 0, stdout: '3 cases, 0 not as expected\n', stderr: '' })
  })

  test('a denial exits 1, wrong use 2, and JSON is JSON', async () => {
    const at = [
      'policy',
      'explain',
      '--config',
      'examples/partner/gateway.yaml',
      '--to',
      'api.bank.example:443',
    ]
    const denied = await runSallyport([...at, '--workload', 'spiffe://example.org/orders', '--json'], {
      cwd: REPOSITORY,
    })
    expect(denied.code).toBe(1)
    expect(JSON.parse(denied.stdout)).toMatchObject({ result: 'deny', code: 'policy-denied' })
    expect((await runSallyport(at, { cwd: REPOSITORY })).code).toBe(2)
    expect((await runSallyport(['policy', 'replay'], { cwd: REPOSITORY })).code).toBe(2)
  })
})
