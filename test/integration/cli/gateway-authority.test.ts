// `sallyport gateway` that proves itself to `sallyport authority` by the role of its task: the credentials come as ECS
// gives them, the authority's URL by the environment, its TLS certificate from a CA of our own, and STS checks signatures.
import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { fetchX509Svid } from '../../../cli/identity/fetch.ts'
import { awsProofSource } from '../../../common/authority/aws-proof.ts'
import { buildWhole } from '../../../scripts/bundles.ts'
import { startFakeContainerCredentials } from '../../fakes/aws/container-credentials.ts'
import { startFakeSts } from '../../fakes/sts/sts.ts'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { freePort } from '../../fixtures/process.ts'
import { REPOSITORY, type Sallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld, type World } from '../../fixtures/world.ts'

const AUDIENCE = 'https://identity.example.org'
const NAME = 'gateway.sallyport.internal'
const ROLE = 'arn:aws:iam::111122223333:role'
const PATIENCE = { timeout: 30_000 }

async function writeGateway(world: World, partnerPort: number, proof = 'aws-sigv4'): Promise<string> {
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  authority: {url: "https://elsewhere.example", proof: ${proof}, roots: "file:pki/partner-ca.pem", audience: "${AUDIENCE}"}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
destinations:
${partnerDestination(partnerPort).replace('partner.test', 'partner.localhost')}
    serverName: partner.test
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
}

async function scene(stack: AsyncDisposableStack, proof: string) {
  const world = stack.use(await createWorld())
  const sts = stack.use(await startFakeSts())
  const role = sts.addRole({ role: 'sallyport-gateway' })
  const task = stack.use(await startFakeContainerCredentials(role))
  const front = await world.partnerCa.issue({ cn: 'localhost', dns: ['localhost'] })
  await world.file('tls.pem', front.chainPem)
  await world.file('tls.key', front.keyPem)
  const identity = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
tls: {certificate: file:tls.pem, key: file:tls.key}
authority: {files: {directory: ca}}
proofs:
  aws:
    webIdentity: true
    sigv4: {regions: [eu-west-1], stsEndpoint: "${sts.endpoint}"}
    accounts: {"111122223333": {issuer: "${sts.issuer.issuer}"}}
registrations:
  - {name: gateway, spiffeId: spiffe://example.org/sallyport/gateway, reserved: true, match: {aws: {role: "${ROLE}/sallyport-gateway"}}, x509: {ttl: 24h, dnsNames: [${NAME}]}}
  - {name: workload, spiffeId: spiffe://example.org/payments/api, match: {aws: {role: "${ROLE}/payments"}}}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  const authority = stack.use(
    startSallyport(['authority', '--config', identity, '--address', '127.0.0.1:0'], {
      env: { SALLYPORT_DEV: '1' },
    }),
  )
  const { address } = await authority.event('listening')
  const url = `https://localhost:${String(address).split(':').at(-1)}`
  const partner = stack.use(await startPartner(world, (socket) => socket.end('hello')))
  const file = await writeGateway(world, partner.port, proof)
  const env = {
    ...task.environment,
    AWS_REGION: 'eu-west-1',
    AWS_ENDPOINT_URL_STS: sts.endpoint,
    SALLYPORT_AUTHORITY_URL: url,
  }
  /** What a workload that proves its own role gets through the gateway on this port. */
  const visit = async (port: number) => {
    const workload = await fetchX509Svid({
      ...{ authorityUrl: url, audience: AUDIENCE, ca: world.partnerCa.pem, trustDomain: 'example.org' },
      proof: awsProofSource({
        kind: 'sigv4',
        region: 'eu-west-1',
        credentials: sts.addRole({ role: 'payments' }),
      }),
    })
    const answer = await connect(world, port, {
      svid: { keyPem: workload.keyPem, chainPem: workload.certificatePem } as Issued,
      target: `partner.localhost:${partner.port}`,
      tls: { ca: workload.bundlePem, servername: NAME },
    })
    const id = answer.socket.getPeerCertificate().subjectaltname
    answer.socket.destroy()
    return [answer.status, id?.includes('URI:spiffe://example.org/sallyport/gateway')]
  }
  return { sts, role, task, file, env, visit, world }
}

const portOf = (gateway: Sallyport, name: string): number => {
  const line = gateway.events('listening').find(({ listener }) => listener === name)
  return Number(String(line?.address).split(':').at(-1))
}

const ready = async (gateway: Sallyport) => {
  const answer = await fetch(`http://127.0.0.1:${portOf(gateway, 'health')}/readyz`)
  return [answer.status, ((await answer.json()) as { reason: string | null }).reason]
}

test.for(['aws-sigv4', 'aws-web-identity'])('by %s', { timeout: 90_000 }, async (proof) => {
  await using stack = new AsyncDisposableStack()
  const { sts, role, task, file, env, visit } = await scene(stack, proof)
  const gateway = stack.use(startSallyport(['gateway', '--config', file], { env }))
  await gateway.event('ready')
  expect(await ready(gateway)).toEqual([200, null])
  expect(await visit(portOf(gateway, 'proxy'))).toEqual([200, true])
  expect(task.requests()).toBe(1)
  const actions = sts.requests.map(({ body }) => new URLSearchParams(body).get('Action'))
  expect(actions[0]).toBe(proof === 'aws-sigv4' ? 'GetCallerIdentity' : 'GetWebIdentityToken')
  const output = gateway.stdout() + gateway.stderr()
  expect(output).toContain('"variable":"SALLYPORT_AUTHORITY_URL"')
  for (const secret of ['PRIVATE', role.secretAccessKey, role.sessionToken]) {
    expect(output).not.toContain(secret)
  }
  gateway.signal('SIGTERM')
  expect(await gateway.exited).toBe(0)
})

test('the bundle that ships does it too', async () => {
  await using stack = new AsyncDisposableStack()
  const { file, env, visit } = await scene(stack, 'aws-sigv4')
  const dist = await mkdtemp(path.join(os.tmpdir(), 'sallyport-dist-'))
  stack.defer(() => rm(dist, { recursive: true, force: true }))
  await buildWhole(dist)
  const wasm = 'node_modules/@cedar-policy/cedar-wasm/nodejs/cedar_wasm_bg.wasm'
  await copyFile(path.join(REPOSITORY, wasm), path.join(dist, path.basename(wasm)))
  await writeFile(path.join(dist, 'package.json'), '{"type":"module"}\n')
  const child = spawn(process.execPath, [path.join(dist, 'gateway.js'), '--config', file], {
    cwd: dist,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
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
  await expect.poll(() => output, PATIENCE).toContain('{"event":"ready"}')
  const port = Number(/"listener":"proxy","address":"127\.0\.0\.1:(\d+)"/.exec(output)?.[1])
  expect(await visit(port)).toEqual([200, true])
}, 120_000)

test('waits, unready, for an authority that is not there or not the right one, and stops on SIGTERM', async () => {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  // Its certificate is of a CA that the configuration does not name.
  const other = stack.use(await startPartner(world, (socket) => socket.end(), { name: 'localhost' }))
  const file = await writeGateway(world, 443, '{oidcTokenFile: token.jwt}')
  await world.file('token.jwt', 'a.b.c')
  await world.file('pki/partner-ca.pem', world.root.pem)
  for (const [port, cause] of [
    [other.port, /unable to (?:get local issuer|verify)|self-signed/],
    [await freePort(), /ECONNREFUSED/],
  ] as const) {
    const gateway = stack.use(
      startSallyport(['gateway', '--config', file], {
        env: { SALLYPORT_AUTHORITY_URL: `https://localhost:${port}` },
      }),
    )
    await gateway.event('listening')
    expect(await ready(gateway)).toEqual([503, 'identity'])
    await expect.poll(() => gateway.stderr(), PATIENCE).toContain('nextAttempt')
    const line = gateway
      .stderr()
      .split('\n')
      .find((text) => text.includes('nextAttempt'))
    expect(JSON.parse(line ?? '')).toMatchObject({
      code: 'authority-unreachable',
      cause: expect.stringMatching(cause),
    })
    expect(gateway.events('ready')).toEqual([])
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toBe(0)
  }
}, 90_000)
