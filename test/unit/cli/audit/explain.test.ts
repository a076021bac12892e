import type { PutItemCommand } from '@aws-sdk/client-dynamodb'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { runExplain } from '../../../../cli/audit/run-explain.ts'
import { createAuditLog } from '../../../../gateway/audit/chain.ts'
import type { AttemptFacts } from '../../../../gateway/audit/events.ts'
import { loadGatewayConfig } from '../../../../gateway/config/load.ts'
import { compilePolicy } from '../../../../gateway/policy/compile.ts'
import { createDynamoIssuanceStore } from '../../../../lambdas/identity/issuances/dynamodb.ts'
import { createFileIssuanceStore } from '../../../../lambdas/identity/issuances/file.ts'
import type { Issuance } from '../../../../lambdas/identity/issuances/store.ts'
import { attempt, MemorySink, NO_KEY, NOTHING_KNOWN } from '../../../fixtures/audit-facts.ts'
import { createWorld, type World } from '../../../fixtures/world.ts'

const ID = '01K0000000000000000000000A'
const ISSUED: Issuance = {
  kind: 'x509',
  serialNumber: '5f0a',
  certificateSha256: 'cc'.repeat(32),
  spiffeId: 'spiffe://example.org/payments/api',
  registration: 'payments-api',
  proof: {
    issuer: 'https://sts.eu-west-1.amazonaws.com',
    subject: 'arn:aws:iam::111122223333:role/payments-api',
    tokenId: 'sha256:abc',
  },
  issuedAt: '2026-08-01T09:50:00.000Z',
  expiresAt: '2026-08-01T10:50:00.000Z',
  requestId: 'request-1',
}

async function place() {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-explain-'))
  return {
    file: async (name: string, text: string) => {
      const file = path.join(directory, name)
      await writeFile(file, text)
      return file
    },
    path: (name: string) => path.join(directory, name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}

function logOf(policy = 'sha256:2') {
  const sink = new MemorySink()
  const log = createAuditLog({
    sink,
    revision: () => ({ config: 'sha256:1', policy }),
    now: () => new Date('2026-08-01T10:00:05.021Z'),
    random: (size) => new Uint8Array(size),
    onFailure: 'refuse',
    maxBacklogBytes: 1_000_000,
    ...NO_KEY,
  })
  const text = () => sink.lines.map((line) => `${line}\n`).join('')
  const whole = (facts: AttemptFacts = attempt()) => {
    log.opened(facts)
    log.progress(facts, { sent: 10, received: 20 })
    log.closed(
      facts,
      { code: 'relay-idle-timeout', by: 'gateway', detail: null },
      { sent: 812, received: 10_240 },
    )
  }
  return { log, text, whole }
}

async function explain(id: string, options: Parameters<typeof runExplain>[1]) {
  let stdout = ''
  let stderr = ''
  const code = await runExplain(id, options, {
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
  })
  return { code, stdout, stderr }
}

describe('audit explain', () => {
  test('tells who, by which proof, what for, by which policy, to what, presenting what, how much and how it ended', async () => {
    await using at = await place()
    const { whole, text } = logOf()
    whole()
    const issuances = at.path('issuances.jsonl')
    const store = createFileIssuanceStore(issuances)
    await store.put({ ...ISSUED, serialNumber: '5f0b' })
    // Of another authority, whose serial numbers may be the same.
    await store.put({ ...ISSUED, spiffeId: 'spiffe://other.org/x', registration: 'another' })
    await store.put(ISSUED)
    const told = await explain(ID, { audit: [await at.file('audit.jsonl', text())], issuances: [issuances] })
    expect({ ...told, stdout: told.stdout.replaceAll(`${at.path('')}/`, '') }).toEqual({
      code: 0,
      stderr: '',
      stdout: `Session     ${ID}, on connection 01K0000000000000000000000B
Who         spiffe://example.org/payments/api by certificate, from 10.0.1.7:50122, by listener proxy
Proof       certificate with serial number 5f0a, issued 2026-08-01T09:50:00.000Z until 2026-08-01T10:50:00.000Z by registration payments-api
            to arn:aws:iam::111122223333:role/payments-api of https://sts.eu-west-1.amazonaws.com, by proof sha256:abc, in request request-1
Asked for   api.bank.example:443 at 2026-08-01T10:00:00.000Z
Decision    allowed by payments-to-bank
            give --config to see owner and ticket
To          partner-bank at 203.0.113.9:443 as api.bank.example, TLSv1.3 with TLS_AES_128_GCM_SHA256, after 1 try
            the name was proven by the certificate; the server’s certificate ${'aa'.repeat(32)}
Presenting  client certificate ${'bb'.repeat(32)}
Bytes       812 sent, 10240 received
End         2026-08-01T10:00:05.021Z, after 5.0 s, by the gateway: relay-idle-timeout: no byte moved for session.idleTimeout
            to do: raise session.idleTimeout, or let the application keep the session alive
Record      session.opened is record 1 of chain ${'00'.repeat(16)}, audit.jsonl:1
            session.progress is record 2 of chain ${'00'.repeat(16)}, audit.jsonl:2
            session is record 3 of chain ${'00'.repeat(16)}, audit.jsonl:3
`,
    })
  })

  test.each(['as the AWS CLI gives it', 'as an export gives it'])(
    'an issuance from DynamoDB, %s',
    async (how) => {
      await using at = await place()
      const { whole, text } = logOf()
      whole()
      const sent: PutItemCommand[] = []
      const client = { send: async (command: PutItemCommand) => void sent.push(command) }
      await createDynamoIssuanceStore({
        client,
        table: 'issuances',
      }).put(ISSUED)
      const item = sent[0]?.input.Item
      const line = JSON.stringify(how.includes('export') ? { Item: item } : item)
      const issuances = [await at.file('items.jsonl', `${line}\n`)]
      const told = await explain(ID, { audit: [await at.file('audit.jsonl', text())], issuances })
      expect(told.stdout).toContain('by registration payments-api\n')
    },
  )

  test('without a closing record it says so, and how far it had come', async () => {
    await using at = await place()
    const { log, text } = logOf()
    log.opened(attempt())
    log.progress(attempt(), { sent: 10, received: 20 })
    const told = await explain(ID, { audit: [await at.file('audit.jsonl', text())] })
    expect(told.code).toBe(0)
    expect(told.stdout).toContain('Bytes       10 sent, 20 received up to 2026-08-01T10:00:05.021Z\n')
    expect(told.stdout).toContain('End         no closing record')
  })

  test('an attempt of which nothing is known is told as far as it goes', async () => {
    await using at = await place()
    const { log, text } = logOf()
    const outcome = {
      code: 'client-handshake-failed',
      by: 'client',
      detail: 'evil \u001b[31m\n\u202e',
    } as const
    log.closed(attempt(NOTHING_KNOWN), outcome, { sent: 0, received: 0 })
    const told = await explain(ID, { audit: [await at.file('audit.jsonl', text())] })
    expect(told.stdout).toContain('Who         nobody that was identified, from')
    expect(told.stdout).toContain('To          no destination of the configuration\n')
    // What a peer wrote moves no cursor here.
    expect(told.stdout).toContain('(evil \\u001b[31m\\n\\u202e)')
    expect(told.stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  test('a connection is told session by session', async () => {
    await using at = await place()
    const { whole, text } = logOf()
    whole()
    whole(attempt({ id: '01K0000000000000000000000C' }))
    whole(attempt({ id: '01K0000000000000000000000D', connection: 'another' }))
    const audit = [await at.file('audit.jsonl', text())]
    const told = await explain('01K0000000000000000000000B', { audit, json: true })
    const { ok, stories } = JSON.parse(told.stdout)
    expect(ok).toBe(true)
    expect(
      stories.map(({ records }: { records: { record: { id: string } }[] }) => records[0]?.record.id),
    ).toEqual([ID, '01K0000000000000000000000C'])
  })

  test('what is not there is a no, and a file that cannot be read is wrong use', async () => {
    await using at = await place()
    const { whole, text } = logOf()
    whole()
    const audit = [await at.file('audit.jsonl', text())]
    expect(await explain('01K', { audit })).toMatchObject({ code: 1, stdout: '' })
    expect(await explain(ID, { audit: [at.path('nothing')] })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nothing: no such file'),
    })
    expect(await explain(ID, { audit, issuances: [at.path('nothing')] })).toMatchObject({ code: 2 })
  })
})

describe('owner and ticket', () => {
  const POLICY = `@id("other") permit (principal is Workload, action, resource) when { resource.port == 22 };
@id("payments-to-bank") @owner("payments") @ticket("SEC-123") @reason("card clearing")
permit (principal in Path::"spiffe://example.org/payments", action == Action::"connect", resource == Destination::"partner-bank");
`
  async function configOf(world: World): Promise<string> {
    const certificate = await world.partnerCa.issue({ cn: 'payments', eku: ['1.3.6.1.5.5.7.3.2'] })
    await world.file('pki/bank.pem', certificate.chainPem)
    await world.file('pki/bank.key', certificate.keyPem)
    await world.file('policy.cedar', POLICY)
    return world.file(
      'gateway.yaml',
      `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
destinations:
  - name: partner-bank
    hosts: [api.bank.example]
    ports: [443]
    clientCertificates:
      - {workloads: ["spiffe://example.org/payments/**"], certificate: "file:pki/bank.pem", key: "file:pki/bank.key"}
policy: {files: [policy.cedar]}
`,
    )
  }

  test('are told where the policy is still the one that decided, with the certificate by its name', async () => {
    await using world = await createWorld()
    const config = await configOf(world)
    const loaded = await loadGatewayConfig(config)
    if (!loaded.ok) throw new Error('not loaded')
    const compiled = compilePolicy(loaded.config.policyFiles, loaded.policy)
    if (!compiled.ok) throw new Error('not compiled')
    const { whole, text } = logOf(compiled.policy.revision)
    const sha256 = loaded.config.destinations[0]?.clientCertificates[0]?.keyPair.leafSha256 ?? ''
    const upstream = attempt().upstream
    if (upstream === null) throw new Error('no upstream')
    whole(attempt({ upstream: { ...upstream, clientCertificateSha256: sha256 } }))
    const audit = [await world.file('audit.jsonl', text())]
    const told = await explain(ID, { audit, config })
    expect(told.stdout).toContain(
      'payments-to-bank: owner payments, ticket SEC-123, because card clearing (' +
        `${path.join(world.directory, 'policy.cedar')}:2)`,
    )
    expect(told.stdout).toMatch(/Presenting {2}client certificate [0-9a-f]{64}, CN=payments, valid until/)
    const json = (await explain(ID, { audit, config, json: true })).stdout
    expect(JSON.parse(json).stories[0].policy).toMatchObject({
      state: 'same',
      approvals: [{ id: 'payments-to-bank', owner: 'payments', ticket: 'SEC-123' }],
    })
    expect(json).not.toContain('BEGIN')
    // An auditor has no keys.
    await rm(path.join(world.directory, 'pki/bank.key'))
    await rm(path.join(world.directory, 'pki/gateway.key'))
    expect((await explain(ID, { audit, config })).stdout).toContain('ticket SEC-123')
  })

  test('are not told where it has changed since, or cannot be read', async () => {
    await using world = await createWorld()
    const config = await configOf(world)
    const { whole, text } = logOf('sha256:another')
    whole()
    const audit = [await world.file('audit.jsonl', text())]
    expect((await explain(ID, { audit, config })).stdout).toContain('the policy has changed since')
    await world.file('policy.cedar', 'permit (')
    const told = await explain(ID, { audit, config })
    expect(told.stdout).toContain('the policy cannot be read')
    expect(told.stdout).not.toContain('SEC-123')
  })
})
