// Partners' certificates, keys and roots in Secrets Manager, over its real protocol: read at start, one version at a time,
// and again while the gateway runs.
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatFault } from '../../../common/fault.ts'
import { checkGatewayConfig } from '../../../gateway/config/check.ts'
import { loadGatewayConfig } from '../../../gateway/config/load.ts'
import { createReadSecret } from '../../../gateway/config/secrets-manager.ts'
import type { ReadSecret } from '../../../gateway/config/secrets.ts'
import { type FakeSecretsManager, startFakeSecretsManager } from '../../fakes/aws/secrets-manager.ts'
import { SecretsStore } from '../../fakes/aws/secrets-store.ts'
import { connect } from '../../fixtures/connect-client.ts'
import { clientOf, demandingPartner, visit } from '../../fixtures/demanding-partner.ts'
import { toLoopback } from '../../fixtures/partner.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const arn = (name: string) => `arn:aws:secretsmanager:eu-west-1:111122223333:secret:${name}-Ab12Cd`
const CLIENT = arn('client')
const ROOTS = arn('roots')
const SECRET = 'secretsmanager:'

const entry = (certificate: string, key: string) =>
  `    clientCertificates:\n      - {workloads: ["spiffe://example.org/**"], certificate: "${certificate}", key: "${key}"}\n`
const destination = (port: number, roots: string, client: string) => `  - name: partner
    hosts: [partner.test]
    ports: [${port}]
    roots: ${roots}
    allowAddresses: [127.0.0.0/8]
${client}`

const IN_ONE = entry(`${SECRET}${CLIENT}#certificate`, `${SECRET}${CLIENT}#key`)

async function scene(stack: AsyncDisposableStack) {
  const world = stack.use(await createWorld())
  const partner = stack.use(await demandingPartner(world))
  const aws = stack.use(await startFakeSecretsManager())
  const store = new SecretsStore(JSON.stringify(await clientOf(world, 'first')))
  aws.secrets.set(CLIENT, store).set(ROOTS, new SecretsStore(world.partnerCa.pem))
  const regions: string[] = []
  const readSecret = createReadSecret({
    clientFor(region) {
      regions.push(region)
      return aws.client
    },
  })
  const start = async (destinations: string) =>
    stack.use(await startTestGateway(world, { destinations, resolve: toLoopback, watch: true, readSecret }))
  const target = `partner.test:${partner.port}`
  return { world, partner, aws, store, regions, readSecret, start, target }
}

const complaints = (gateway: TestGateway) =>
  gateway.logged
    .map((line) => JSON.parse(line) as { msg: string; faults: string })
    .filter(({ msg }) => msg === 'kept as it was')
    .map(({ faults }) => faults.replace(/^.*?: /, ''))
const stale = (gateway: TestGateway) => gateway.metric('sallyport_partner_stale')

describe('a client certificate and roots in Secrets Manager', () => {
  test('are what the partner sees and is judged by, each secret read once', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, partner, aws, regions, readSecret, target } = await scene(stack)
    const gateway = stack.use(
      await startTestGateway(world, {
        destinations: destination(partner.port, SECRET + ROOTS, IN_ONE),
        ...{ resolve: toLoopback, readSecret },
      }),
    )
    expect(await visit(world, gateway, target)).toBe('saw CN=first')
    expect(aws.requests).toEqual(['GetSecretValue', 'GetSecretValue'])
    expect(regions).toEqual(['eu-west-1'])
  })

  test('a certificate in a file and its key in a secret that is the text itself', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, partner, aws, start, target } = await scene(stack)
    const { certificate, key } = await clientOf(world, 'mixed')
    await world.file('pki/mixed.pem', certificate)
    aws.secrets.set(arn('key'), new SecretsStore(key))
    const client = entry('file:pki/mixed.pem', SECRET + arn('key'))
    const gateway = await start(destination(partner.port, 'file:pki/partner-ca.pem', client))
    expect(await visit(world, gateway, target)).toBe('saw CN=mixed')
    // The file first; until the secret follows, nothing fits and nothing changes.
    const next = await clientOf(world, 'next')
    await world.file('pki/mixed.pem', next.certificate)
    await expect.poll(() => stale(gateway)).toBe(1)
    expect(await visit(world, gateway, target)).toBe('saw CN=mixed')
    aws.secrets.get(arn('key'))?.put({ SecretString: next.key })
    await expect.poll(() => visit(world, gateway, target)).toBe('saw CN=next')
  })

  test('a rotation is taken at the next dial and touches no live session', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, partner, store, start, target } = await scene(stack)
    const gateway = await start(destination(partner.port, SECRET + ROOTS, IN_ONE))
    const live = await connect(world, gateway.port, { svid: await world.svid('/payments/api'), target })
    expect(live.status).toBe(200)
    store.put({ SecretString: JSON.stringify(await clientOf(world, 'second')) })
    await expect.poll(() => visit(world, gateway, target)).toBe('saw CN=second')
    live.socket.end('bye')
    const { how, data } = await readToEnding(live.socket)
    expect([how, Buffer.concat([live.rest, data]).toString()]).toEqual(['end', 'saw CN=first'])
    expect(await stale(gateway)).toBe(0)
  })

  test('a version that is pending is nobody’s', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, partner, aws, store, start, target } = await scene(stack)
    const gateway = await start(destination(partner.port, SECRET + ROOTS, IN_ONE))
    const SecretString = JSON.stringify(await clientOf(world, 'pending'))
    store.put({ SecretString, VersionStages: ['AWSPENDING'] })
    const before = aws.requests.length
    await expect.poll(() => aws.requests.length).toBeGreaterThan(before + 4)
    expect(await visit(world, gateway, target)).toBe('saw CN=first')
  })

  test('certificate and key of one secret are of one version, whenever it is rotated', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, partner, aws, store, readSecret, target } = await scene(stack)
    const others = [await clientOf(world, 'second'), await clientOf(world, 'third')]
    // It rotates behind every answer.
    const rotating: ReadSecret = async (secret, signal) => {
      const text = await readSecret(secret, signal)
      const next = secret.arn === CLIENT ? others.shift() : undefined
      if (next !== undefined) store.put({ SecretString: JSON.stringify(next) })
      return text
    }
    const destinations = destination(partner.port, SECRET + ROOTS, IN_ONE)
    const options = { destinations, resolve: toLoopback, watch: true, readSecret: rotating }
    const gateway = stack.use(await startTestGateway(world, options))
    await expect.poll(() => visit(world, gateway, target)).toBe('saw CN=third')
    expect(complaints(gateway)).toEqual([])
    expect(aws.requests).not.toContain('DescribeSecret')
  })
})

describe('a secret that cannot be taken while the gateway runs', () => {
  type Break = (parts: { aws: FakeSecretsManager; store: SecretsStore; world: World }) => Promise<unknown>
  const put = (make: (world: World) => Promise<object | string>): Break => {
    return async ({ store, world }) => {
      const value = await make(world)
      store.put({ SecretString: typeof value === 'string' ? value : JSON.stringify(value) })
    }
  }
  const CASES: Record<string, { broken: Break; says: RegExp }> = {
    'a key of another certificate': {
      broken: put(async (world) => ({
        ...(await clientOf(world, 'second')),
        key: (await clientOf(world, 'x')).key,
      })),
      says: /\.key: secretsmanager:\S+#key: does not belong to the certificate/,
    },
    'a field that is gone': {
      broken: put(async (world) => ({ certificate: (await clientOf(world, 'second')).certificate })),
      says: /\.key: secretsmanager:\S+#key: the secret has no text under "key"/,
    },
    'no JSON': {
      broken: put(async (world) => (await clientOf(world, 'second')).key),
      says: /\.certificate: secretsmanager:\S+#certificate: the secret is no JSON object/,
    },
    'a service that fails': {
      broken: async ({ aws }) => {
        aws.failing = true
      },
      says: /secretsmanager:\S+#certificate: InternalServiceError: x/,
    },
  }
  for (const [name, { broken, says }] of Object.entries(CASES)) {
    test(`${name}: the old one stays, told once, counted, and good again`, async () => {
      await using stack = new AsyncDisposableStack()
      const { world, partner, aws, store, start, target } = await scene(stack)
      const gateway = await start(destination(partner.port, 'file:pki/partner-ca.pem', IN_ONE))
      expect(await visit(world, gateway, target)).toBe('saw CN=first')
      await broken({ aws, store, world })
      await expect.poll(() => complaints(gateway).join('\n')).toMatch(says)
      const failures = () => gateway.metric('sallyport_partner_reload_failures_total{destination="partner"}')
      await expect.poll(failures).toBeGreaterThan(2)
      expect(complaints(gateway)).toHaveLength(1)
      expect(await visit(world, gateway, target)).toBe('saw CN=first')
      expect(gateway.logged.join('')).not.toContain('PRIVATE')
      aws.failing = false
      store.put({ SecretString: JSON.stringify(await clientOf(world, 'third')) })
      await expect.poll(() => visit(world, gateway, target)).toBe('saw CN=third')
      await expect.poll(() => stale(gateway)).toBe(0)
    })
  }
})

describe('a secret that cannot be read when the gateway starts', () => {
  const CASES: Record<string, { secret: string | Error | null; field?: string; says: string }> = {
    'is not there': {
      secret: null,
      says: 'ResourceNotFoundException: There is no such secret. (look at the ARN; the secret must have a version that is AWSCURRENT)',
    },
    'may not be read': {
      secret: Object.assign(new Error('User: x is not authorized to perform: y'), {
        name: 'AccessDeniedException',
      }),
      says: 'AccessDeniedException: User: x is not authorized to perform: y (the role of this process needs secretsmanager:GetSecretValue on this ARN, and kms:Decrypt where a key of its own encrypts it)',
    },
    'has no such field': {
      secret: '{"Key": "x"}',
      says: 'the secret has no text under "key" (name a key of its JSON object whose value is a string)',
    },
    'has a field of JavaScript’s own': {
      secret: '{}',
      field: 'constructor',
      says: 'the secret has no text under "constructor" (name a key of its JSON object whose value is a string)',
    },
    'is no JSON': {
      secret: '-----BEGIN PRIVATE KEY-----',
      says: 'the secret is no JSON object (leave out the # and what follows where it is the PEM text itself)',
    },
    'is a list': {
      secret: '[1]',
      says: 'the secret is no JSON object (leave out the # and what follows where it is the PEM text itself)',
    },
    'holds no key': {
      secret: '{"key": "hunter2"}',
      says: 'no PEM private key in it (look at the secret, and at the field that is named)',
    },
  }
  for (const [name, { secret, field = 'key', says }] of Object.entries(CASES)) {
    test(`${name}: one fault with key, ARN and what AWS says, and none of what is in it`, async () => {
      await using stack = new AsyncDisposableStack()
      const { world, aws, readSecret } = await scene(stack)
      const { certificate } = await clientOf(world, 'x')
      await world.file('pki/x.pem', certificate)
      const store = new SecretsStore(typeof secret === 'string' ? secret : '{}')
      if (secret instanceof Error)
        store.get = () => {
          throw secret
        }
      if (secret !== null) aws.secrets.set(arn('odd'), store)
      const client = entry('file:pki/x.pem', `${SECRET}${arn('odd')}#${field}`)
      const file = await writeConfig(world, destination(443, 'system', client))
      const loaded = await loadGatewayConfig(file, { readSecret })
      const faults = loaded.ok ? [] : loaded.faults.map(formatFault)
      expect(faults).toEqual([
        `${file}:16: destinations[0].clientCertificates[0].key: ${SECRET}${arn('odd')}#${field}: ${says}`,
      ])
      expect(faults.join('')).not.toContain('hunter2')
    })
  }

  test('is binary, or larger than any is', async () => {
    const answers: object[] = [{ SecretBinary: new Uint8Array(3) }, { SecretString: 'x'.repeat(65_537) }]
    const read = createReadSecret({ clientFor: () => ({ send: async () => answers.shift() }) as never })
    const location = { arn: CLIENT, region: 'eu-west-1' }
    await expect(read(location)).rejects.toThrow('the secret holds binary data')
    await expect(read(location)).rejects.toThrow('the secret is larger than 65536 bytes')
  })

  test('does not answer: the wait has an end', async () => {
    await using aws = await startFakeSecretsManager()
    aws.hanging = true
    const { endpoint } = aws
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
    const client = new SecretsManagerClient({
      ...{ endpoint, credentials, region: 'eu-west-1', maxAttempts: 1 },
      requestHandler: { requestTimeout: 50, throwOnRequestTimeout: true },
    })
    const read = createReadSecret({ clientFor: () => client })
    await expect(read({ arn: CLIENT, region: 'eu-west-1' })).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('TimeoutError'),
    })
    client.destroy()
  })
})

test('a gateway that stops waits for no secret', async () => {
  await using stack = new AsyncDisposableStack()
  const { world, partner, aws } = await scene(stack)
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  // It would wait for ever.
  const client = new SecretsManagerClient({ endpoint: aws.endpoint, credentials, region: 'eu-west-1' })
  stack.defer(() => client.destroy())
  const readSecret = createReadSecret({ clientFor: () => client })
  const destinations = destination(partner.port, SECRET + ROOTS, IN_ONE)
  const gateway = await startTestGateway(world, {
    destinations,
    resolve: toLoopback,
    watch: true,
    readSecret,
  })
  aws.hanging = true
  const before = aws.requests.length
  await expect.poll(() => aws.requests.length).toBeGreaterThan(before)
  await gateway[Symbol.asyncDispose]()
  expect(complaints(gateway)).toEqual([])
})

async function writeConfig(world: World, destinations: string): Promise<string> {
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  const text = `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
destinations:
${destinations}`
  return world.file('gateway.yaml', text)
}

test('config check looks at the form alone, says so once, and asks nobody', async () => {
  await using world = await createWorld()
  const file = await writeConfig(world, destination(443, SECRET + ROOTS, IN_ONE))
  const { faults, warnings } = await checkGatewayConfig(file)
  expect(faults).toEqual([])
  expect(warnings.map(formatFault)).toEqual([
    `${path.join(world.directory, 'gateway.yaml')}:13: destinations[0].roots: secrets are not read here: of 3 reference(s) to Secrets Manager the form alone is checked (the gateway reads them when it starts)`,
  ])
})
