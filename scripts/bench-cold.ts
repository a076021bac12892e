// `npm run bench:cold`: how long the authority takes to start on Lambda, from its minified bundle: module load and first
// mint in a new process each time, then the CPU time of a warm mint. One core, as Lambda gives at 1,769 MB; the CA in
// Secrets Manager and the stores in DynamoDB, as stand-ins in this process, so that their time is not the child's CPU.
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { goodClaims, startFakeOidcIssuer } from '../test/fakes/oidc-issuer.ts'
import { startFakeSecretsManager } from '../test/fakes/aws/secrets-manager.ts'
import { SecretsStore } from '../test/fakes/aws/secrets-store.ts'
import { startDynamoDb } from '../test/fakes/dynamodb.ts'
import { createCsr, createDocument } from '../test/unit/lambdas/identity/support.ts'

const ROUNDS = 9
/** So many come first, until the compiler has seen what is hot. */
const WARM_UP = 200
const WARM = 200
const ISSUING = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:issuing-AbCdEf'
const AUDIENCE = 'https://identity.example.org'
const root = path.dirname(import.meta.dirname)
const bundle = path.join(root, 'dist/identity.js')

/** What runs in the new process; it prints milliseconds since its own start. */
const CHILD = `
const started = performance.now()
const { handler } = await import(${JSON.stringify(bundle)})
const loaded = performance.now()
const requests = JSON.parse((await import('node:fs')).readFileSync(process.env.BENCH_INPUT, 'utf8'))
const event = (path, body, token) => ({
  version: '2.0', routeKey: '$default', rawPath: path, rawQueryString: '', isBase64Encoded: false,
  headers: { host: 'identity.example.org', 'content-type': 'application/json', authorization: 'Bearer ' + token },
  requestContext: { http: { method: 'POST', path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: '' }, stage: '$default' },
  body,
})
const mint = async ({ csr, token }) => {
  const answer = await handler(event('/v1/svid/x509', JSON.stringify({ csr }), token), {})
  if (answer.statusCode !== 201) throw new Error(answer.body)
}
await mint(requests[0])
const first = performance.now()
const warmUp = Number(process.env.BENCH_WARM_UP)
for (const request of requests.slice(1, 1 + warmUp)) await mint(request)
const before = process.cpuUsage()
for (const request of requests.slice(1 + warmUp)) await mint(request)
const { user, system } = process.cpuUsage(before)
const warm = requests.length === 1 ? null : (user + system) / 1000 / (requests.length - 1 - warmUp)
process.stderr.write('BENCH ' + JSON.stringify({ load: loaded - started, mint: first - loaded, warm }) + '\\n')
`

interface Sample {
  readonly load: number
  readonly mint: number
  readonly warm: number | null
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

async function run(config: string, requests: readonly object[]): Promise<Sample> {
  const input = `${config}.requests`
  await writeFile(input, JSON.stringify(requests))
  const env = {
    ...process.env,
    SALLYPORT_DEV: '1',
    SALLYPORT_IDENTITY_CONFIG: config,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
    BENCH_INPUT: input,
    BENCH_WARM_UP: String(WARM_UP),
  }
  const args = ['-c', '0', process.execPath, '--input-type=module', '-e', CHILD]
  const child = spawn('taskset', args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.on('data', (part: Buffer) => {
    text += part.toString()
  })
  await new Promise((resolve) => child.once('close', resolve))
  const [, json] = /^BENCH (.*)$/m.exec(text) ?? []
  if (json === undefined) throw new Error(`the child did not finish:\n${text.slice(0, 2000)}`)
  return JSON.parse(json) as Sample
}

await promisify(execFile)(process.execPath, [path.join(root, 'scripts/build.ts')], { cwd: root })
const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-bench-'))
await using issuer = await startFakeOidcIssuer()
await using secrets = await startFakeSecretsManager()
await using dynamo = await startDynamoDb()
await dynamo.createTable('replay')
await dynamo.createTable('issuances')
secrets.secrets.set(ISSUING, new SecretsStore(JSON.stringify(await createDocument(new Date()))))
const config = path.join(directory, 'identity.yaml')
await writeFile(
  config,
  `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {secretsManager: {issuing: "${ISSUING}"}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}"}]}
registrations: [{name: workload, spiffeId: spiffe://example.org/workload, match: {oidc: main, claims: {sub: workload}}, limits: {perMinute: 1000000}}]
limits: {perSourcePerMinute: 1000000}
replay: {dynamodb: {table: replay}}
issuances: {dynamodb: {table: issuances}}
`,
)
const request = async () => ({
  csr: await createCsr(),
  token: await issuer.sign(goodClaims(issuer.issuer, AUDIENCE, new Date())),
})
await run(config, [await request()])
const cold: Sample[] = []
for (let round = 0; round < ROUNDS; round++) cold.push(await run(config, [await request()]))
const many: object[] = []
for (let count = 0; count <= WARM_UP + WARM; count++) many.push(await request())
const { warm } = await run(config, many)
await rm(directory, { recursive: true })

const kib = (await stat(bundle)).size / 1024
const load = median(cold.map((sample) => sample.load))
const mint = median(cold.map((sample) => sample.mint))
process.stdout.write(
  [
    `bundle        ${kib.toFixed(0)} KiB minified (limit 1024)`,
    `module load   ${load.toFixed(0)} ms   median of ${ROUNDS} new processes on one core`,
    `first mint    ${mint.toFixed(0)} ms   configuration, CA, issuer's keys, one X.509-SVID`,
    `cold start    ${(load + mint).toFixed(0)} ms   (limit 250)`,
    `warm mint     ${(warm ?? Number.NaN).toFixed(2)} ms of CPU   mean of ${WARM} after ${WARM_UP} (limit 5)`,
    '',
  ].join('\n'),
)
if (kib > 1024 || load + mint > 250 || (warm ?? 0) > 5) process.exitCode = 1
