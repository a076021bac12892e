// `sallyport gateway` with a partner's key in Secrets Manager, found by the SDK's own settings; and the same as the bundle
// that ships.
import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { buildWhole } from '../../../scripts/bundles.ts'
import { type FakeSecretsManager, startFakeSecretsManager } from '../../fakes/aws/secrets-manager.ts'
import { SecretsStore } from '../../fakes/aws/secrets-store.ts'
import { clientOf, demandingPartner, visit } from '../../fixtures/demanding-partner.ts'
import { REPOSITORY, runSallyport, type Sallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld, type World } from '../../fixtures/world.ts'

const ARN = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:client-Ab12Cd'

async function writeConfig(world: World, partnerPort: number): Promise<string> {
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
destinations:
  - name: partner
    hosts: [partner.localhost]
    ports: [${partnerPort}]
    roots: file:pki/partner-ca.pem
    serverName: partner.test
    allowAddresses: [127.0.0.0/8]
    clientCertificates:
      - workloads: ["spiffe://example.org/**"]
        certificate: secretsmanager:${ARN}#certificate
        key: secretsmanager:${ARN}#key
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
}

const environment = (aws: Pick<FakeSecretsManager, 'endpoint'>) => ({
  AWS_ENDPOINT_URL_SECRETS_MANAGER: aws.endpoint,
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_SESSION_TOKEN: '',
  // The ARN's region counts, not that of the process.
  AWS_REGION: 'us-east-1',
  AWS_CONFIG_FILE: '/nonexistent',
  AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
})

async function scene(stack: AsyncDisposableStack) {
  const world = stack.use(await createWorld())
  const aws = stack.use(await startFakeSecretsManager())
  aws.secrets.set(ARN, new SecretsStore(JSON.stringify(await clientOf(world, 'acme'))))
  const partner = stack.use(await demandingPartner(world))
  const file = await writeConfig(world, partner.port)
  return { world, aws, file, target: `partner.localhost:${partner.port}` }
}

async function proxyOf(gateway: Sallyport): Promise<{ port: number }> {
  await gateway.event('ready')
  const line = gateway.events('listening').find(({ listener }) => listener === 'proxy')
  return { port: Number(String(line?.address).split(':').at(-1)) }
}

test('starts with it, serves with it and stops in time', async () => {
  await using stack = new AsyncDisposableStack()
  const { world, aws, file, target } = await scene(stack)
  const gateway = stack.use(startSallyport(['gateway', '--config', file], { env: environment(aws) }))
  expect(await visit(world, await proxyOf(gateway), target)).toBe('saw CN=acme')
  expect(aws.requests).toEqual(['GetSecretValue'])
  gateway.signal('SIGTERM')
  expect(await gateway.exited).toBe(0)
  expect(gateway.stdout() + gateway.stderr()).not.toContain('PRIVATE')
})

test('does not start without it, and says key, ARN and AWS’s error', async () => {
  await using stack = new AsyncDisposableStack()
  const { aws, file } = await scene(stack)
  aws.secrets.clear()
  const { code, stdout, stderr } = await runSallyport(['gateway', '--config', file], {
    env: environment(aws),
  })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  const fault = (line: number, key: string) =>
    `${file}:${line}: destinations[0].clientCertificates[0].${key}: secretsmanager:${ARN}#${key}: ResourceNotFoundException: There is no such secret. (look at the ARN; the secret must have a version that is AWSCURRENT)\n`
  expect(stderr).toBe(fault(16, 'certificate') + fault(17, 'key'))
  expect(aws.requests).toEqual(['GetSecretValue'])
})

test('the bundle reads secrets too', async () => {
  await using stack = new AsyncDisposableStack()
  const { world, aws, file, target } = await scene(stack)
  const dist = await mkdtemp(path.join(os.tmpdir(), 'sallyport-dist-'))
  stack.defer(() => rm(dist, { recursive: true, force: true }))
  await buildWhole(dist)
  const wasm = 'node_modules/@cedar-policy/cedar-wasm/nodejs/cedar_wasm_bg.wasm'
  await copyFile(path.join(REPOSITORY, wasm), path.join(dist, path.basename(wasm)))
  await writeFile(path.join(dist, 'package.json'), '{"type":"module"}\n')
  const child = spawn(process.execPath, [path.join(dist, 'gateway.js'), '--config', file], {
    cwd: dist,
    env: { ...process.env, NODE_OPTIONS: '', ...environment(aws) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise((resolve) => child.on('close', resolve))
  stack.defer(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  await expect.poll(() => output, { timeout: 20_000 }).toContain('{"event":"ready"}')
  const port = Number(/"listener":"proxy","address":"127\.0\.0\.1:(\d+)"/.exec(output)?.[1])
  expect(await visit(world, { port }, target)).toBe('saw CN=acme')
})
