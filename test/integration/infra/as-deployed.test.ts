// What would run in AWS, minus AWS: all stacks are deployed into an account on loopback, and the bundled gateway is started
// with exactly the command and environment of the synthesized task definition, under the image's own flags. It reads its
// configuration from AppConfig, a partner's roots from Secrets Manager, gets its identity from the identity function's own
// bundle behind the API by its task role, puts checkpoints into S3, and takes a real connection. What the test adds to the
// environment, and why, is said in test/fixtures/as-deployed.ts.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fetchX509Svid } from '../../../cli/identity/fetch.ts'
import { awsProofSource } from '../../../common/authority/aws-proof.ts'
import type { AuthorityFetch } from '../../../common/authority/request.ts'
import { buildAll } from '../../../scripts/deployed.ts'
import { startFakeAppConfig } from '../../fakes/aws/appconfig.ts'
import { startFakeContainerCredentials } from '../../fakes/aws/container-credentials.ts'
import { startFakeS3 } from '../../fakes/aws/s3.ts'
import { SecretsStore } from '../../fakes/aws/secrets-store.ts'
import { type RunningAccount, startAccount } from '../../fakes/cloudformation/account.ts'
import { type ApiRequest, httpApiEvent } from '../../fakes/http-api.ts'
import { restApiEvent } from '../../fakes/rest-api.ts'
import { type RunningTask, startTask } from '../../fixtures/as-deployed.ts'
import { connect, readBody } from '../../fixtures/connect-client.ts'
import { startPartner } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { freePort } from '../../fixtures/process.ts'
import { header, LOCAL } from '../../fixtures/proxy-header.ts'
import { createWorld } from '../../fixtures/world.ts'
import { synthesize } from '../../unit/infra/support.ts'

const NAME = 'sallyport-dev'
const STACKS = ['network', 'identity', 'configuration', 'gateway'].map((part) => `${NAME}-${part}`)
const SECRET = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:partner-AbCdEf'
const PATIENCE = { timeout: 40_000 }

let dist = ''

beforeAll(async () => {
  dist = await mkdtemp(path.join(os.tmpdir(), 'sallyport-as-deployed-'))
  await buildAll(dist)
}, 120_000)
afterAll(() => rm(dist, { recursive: true, force: true }))

interface Ports {
  readonly proxy: number
  readonly health: number
  readonly admin: number
  readonly partner: number
}

/** As infra/configuration/files have them, with ports that are free here. */
async function writeFiles(directory: string, { proxy, health, admin, partner }: Ports): Promise<void> {
  const files = {
    'gateway.yaml': `version: 1
trustDomain: example.org
identity:
  authority: { proof: aws-sigv4, roots: system }
listeners:
  - { name: proxy, address: "0.0.0.0:${proxy}", protocol: connect, proxyProtocol: { required: true, from: [192.0.2.0/24] } }
destinations:
  - { name: partner, hosts: [partner.localhost], ports: [${partner}], serverName: partner.test, roots: "secretsmanager:${SECRET}", allowAddresses: [127.0.0.0/8] }
policy: { files: [policy.cedar] }
health: { address: "0.0.0.0:${health}" }
admin: { address: "0.0.0.0:${admin}", workloads: ["spiffe://example.org/sallyport/admin/**"] }
drain: { delay: 0s, deadline: 5s }
lastKnownGood: { maxAge: 24h }
`,
    'policy.cedar': `@id("payments-to-partner")
permit (principal in Path::"spiffe://example.org/payments", action == Action::"connect", resource == Destination::"partner");
`,
    'identity.yaml': `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: { secretsManager: { issuing: set-by-the-deployment } }
proofs: { aws: { sigv4: { regions: [eu-west-1] }, accounts: { "111122223333": {} } } }
registrations:
  - { name: payments-api, spiffeId: spiffe://example.org/payments/api, match: { aws: { role: "arn:aws:iam::111122223333:role/payments-api" } } }
  - { name: on-call, spiffeId: spiffe://example.org/sallyport/admin/on-call, reserved: true, match: { aws: { role: "arn:aws:iam::111122223333:role/on-call" } } }
  - { name: gateway, spiffeId: spiffe://example.org/sallyport/gateway, reserved: true, match: { aws: { role: "arn:aws:iam::111122223333:role/sallyport-gateway" } }, x509: { ttl: 24h, dnsNames: [gateway.sallyport.internal] } }
replay: { dynamodb: { table: set-by-the-deployment } }
issuances: { dynamodb: { table: set-by-the-deployment } }
`,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text)
}

/** API Gateway: the function behind a URL, called by the event that its kind of API makes. */
function createApi({ account }: RunningAccount, base: URL) {
  const stage = base.pathname.slice(1)
  const ask = async (request: ApiRequest) => {
    const name = account.stack(`${NAME}-identity`).idOf('IdentityFunction3')
    const at = request.path.slice(stage === '' ? 0 : stage.length + 1)
    const event = stage === '' ? httpApiEvent(request) : restApiEvent({ ...request, path: at }, stage)
    const result = await account.invoke(`arn:aws:lambda:eu-west-1:111122223333:function:${name}`, event)
    if (!result.ok) throw new Error(result.errorMessage)
    return result.payload as { statusCode: number; headers: Record<string, string>; body: string }
  }
  return ask
}

async function startApi(ask: ReturnType<typeof createApi>) {
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const part of request) body += String(part)
    const headers = request.headers as Record<string, string>
    const call = { method: request.method ?? 'GET', path: request.url ?? '/', headers }
    const answer = await ask(body === '' ? call : { ...call, body })
    response.writeHead(answer.statusCode, answer.headers).end(answer.body)
  }
  const server = createServer((request, response) => void serve(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Deploys everything, and starts a task of the gateway. */
async function deploy(stack: AsyncDisposableStack, exposure: 'public' | 'private') {
  const world = stack.use(await createWorld())
  const partner = stack.use(await startPartner(world, (socket) => socket.end('hello')))
  const [proxy, health, admin] = [await freePort(), await freePort(), await freePort()]
  const ports = { proxy, health, admin, partner: partner.port }
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-files-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  await writeFiles(directory, ports)
  const running = stack.use(await startAccount())
  const { account } = running
  const { directory: assembly } = synthesize(
    'dev',
    {
      identity: { exposure },
      configuration: { directory },
      observability: { archiveDays: 30 },
      // The balancer's header comes from the VPC; here the client stands for it.
      network: { cidr: '127.0.0.0/16' },
    },
    (name) => path.join(dist, 'deploy', name),
  )
  account.services.secrets.secrets.set(SECRET, new SecretsStore(world.partnerCa.pem))
  const outputs = await account.deploy(assembly, STACKS)
  const gateway = account.stack(`${NAME}-gateway`)
  const role = account.services.sts.addRole({ role: 'sallyport-gateway' })
  const appConfig = stack.use(await startFakeAppConfig())
  for (const [name, text] of account.documents) appConfig.documents.set(name, { text })
  const bucket = gateway.idOf('GatewayEvidenceBucket')
  const s3 = stack.use(await startFakeS3({ bucket, objectLock: true, credentials: role }))
  const agent = stack.use(await startFakeContainerCredentials(role))
  const base = new URL(outputs.AuthorityUrl ?? '')
  const ask = createApi(running, base)
  const api = stack.use(await startApi(ask))
  const hosts = {
    ...running.hosts,
    [`${base.hostname}:443`]: await running.front(api.endpoint),
    'appconfigdata.eu-west-1.amazonaws.com:443': await running.front(appConfig.endpoint),
    [`${bucket}.s3.eu-west-1.amazonaws.com:443`]: await running.front(s3.endpoint),
  }
  const task = stack.use(
    await startTask({
      image: path.join(dist, 'deploy/image'),
      definition: gateway.propertiesOf('AWS::ECS::TaskDefinition'),
      agent: agent.environment,
      hosts,
      roots: running.roots,
    }),
  )
  return { world, partner, ports, running, outputs, ask, task, s3, role, appConfig }
}

type Scene = Awaited<ReturnType<typeof deploy>>

/** What the balancer asks of the health port, byte for byte. @returns what comes back */
async function checkHealth(port: number, before: Buffer): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  socket.write(
    Buffer.concat([
      before,
      Buffer.from(
        `GET /readyz HTTP/1.1\r\nHost: 10.0.1.7:${port}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n`,
      ),
    ]),
  )
  let text = ''
  for await (const part of socket) text += String(part)
  return text
}

/** A workload gets its identity by its role. */
async function identify({ running, outputs, ask }: Scene, roleName: string) {
  const base = new URL(outputs.AuthorityUrl ?? '')
  const fetch: AuthorityFetch = async ({ url, method, headers, body }) => {
    const { pathname } = new URL(url)
    const answer = await ask({ method, path: pathname, headers, ...(body === null ? {} : { body }) })
    return { status: answer.statusCode, body: answer.body }
  }
  return fetchX509Svid({
    authorityUrl: base.href.replace(/\/$/, ''),
    audience: outputs.Issuer ?? '',
    trustDomain: 'example.org',
    fetch,
    proof: awsProofSource({
      kind: 'sigv4',
      region: 'eu-west-1',
      credentials: running.account.services.sts.addRole({ role: roleName }),
    }),
  })
}

/** A workload asks for a target behind the balancer's header. */
async function visit(scene: Scene, roleName: string, target: string) {
  const { world, ports, outputs } = scene
  const workload = await identify(scene, roleName)
  const socket = net.connect(ports.proxy, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(header())
  return connect(world, ports.proxy, {
    svid: { keyPem: workload.keyPem, chainPem: workload.certificatePem } as Issued,
    target,
    tls: { socket, ca: workload.bundlePem, servername: outputs.Name ?? '' },
  })
}

/** An operator asks the admin port of the task. @returns the status */
async function askAdmin(scene: Scene, roleName: string, at: string): Promise<number> {
  const { keyPem, certificatePem, bundlePem } = await identify(scene, roleName)
  const request = https.get({
    ...{ host: '127.0.0.1', port: scene.ports.admin, path: at, agent: false },
    ...{ key: keyPem, cert: certificatePem, ca: bundlePem, servername: scene.outputs.Name },
  })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response.statusCode ?? 0
}

const started = async (task: RunningTask) => {
  await expect.poll(() => (task.events('ready').length > 0 ? 'ready' : task.stderr()), PATIENCE).toBe('ready')
}

test.for(['public', 'private'] as const)(
  'a task of a deployment whose authority is %s takes a connection',
  { timeout: 180_000 },
  async (exposure) => {
    await using stack = new AsyncDisposableStack()
    const scene = await deploy(stack, exposure)
    const { task, ports, s3, role } = scene
    await started(task)
    // With PROXY v2 on, health checks carry the header too, without addresses; a balancer that sends none is no less right.
    const local = header({ versionAndCommand: LOCAL, family: 0, addresses: Buffer.alloc(0) })
    await expect.poll(() => checkHealth(ports.health, local), PATIENCE).toMatch(/^HTTP\/1\.1 200 /)
    expect(await checkHealth(ports.health, Buffer.alloc(0))).toMatch(/^HTTP\/1\.1 200 /)
    const answered = await visit(scene, 'payments-api', `partner.localhost:${ports.partner}`)
    expect([answered.status, await readBody(answered)]).toEqual([200, 'hello'])
    await expect.poll(() => task.events('session').length, PATIENCE).toBe(1)
    expect(JSON.stringify(task.events('session')[0])).toMatch(
      /"10\.0\.0\.5".*payments-to-partner|payments-to-partner.*"10\.0\.0\.5"/,
    )
    expect(await askAdmin(scene, 'on-call', '/sessions')).toBe(200)
    expect(await askAdmin(scene, 'payments-api', '/sessions')).toBe(403)
    task.signal('SIGTERM')
    expect(await task.exited).toBe(0)
    expect([...s3.objects.keys()][0]).toMatch(/^checkpoints\/\d{4}-/)
    for (const secret of ['PRIVATE', role.secretAccessKey, role.sessionToken]) {
      expect(task.stdout() + task.stderr()).not.toContain(secret)
    }
  },
)
