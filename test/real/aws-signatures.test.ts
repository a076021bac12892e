// AWS signatures judged by moto, with its check on. They are made by our client, by AWS's signer for JavaScript with and
// without its checksum header, and by botocore from docs/authority.md alone. moto answers in XML, AWS in JSON where it is
// asked for: the relay between authority and moto translates, as the product never does.
import { createHash, createPublicKey } from 'node:crypto'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signAwsProof } from '../fixtures/aws-proof.ts'
import { needProgram, run } from '../fixtures/process.ts'
import { REPOSITORY, runSallyport, type Sallyport, startSallyport } from '../fixtures/sallyport.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { ACCOUNT, type Moto, REGION, type RoleCredentials, startMoto } from './moto.ts'
import { makeFolderInTree, runInTree } from './tree.ts'

const AUDIENCE = 'https://identity.example.org'

let world: World
let moto: Moto
let role: RoleCredentials
let relay: Relay
let authority: Sallyport
let url = ''

interface Relay extends AsyncDisposable {
  readonly endpoint: string
  readonly statuses: number[]
}

function field(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? ''
}

/** As STS says it where it is asked for JSON. */
function toJson(status: number, xml: string): string {
  if (status !== 200) return JSON.stringify({ Error: { Code: field(xml, 'Code') } })
  const result = Object.fromEntries(['Account', 'Arn', 'UserId'].map((name) => [name, field(xml, name)]))
  return JSON.stringify({
    GetCallerIdentityResponse: {
      GetCallerIdentityResult: result,
      ResponseMetadata: { RequestId: field(xml, 'RequestId') },
    },
  })
}

/** Hands each request on as it came, the host's name among it, and turns the answer's form. */
async function startRelay(endpoint: string): Promise<Relay> {
  const statuses: number[] = []
  const server = http.createServer((request, response) => {
    const { port } = new URL(endpoint)
    const onward = http.request(
      {
        host: '127.0.0.1',
        port,
        method: request.method,
        path: request.url,
        headers: request.headers,
        agent: false,
      },
      (answer) => {
        let body = ''
        answer.on('data', (part: Buffer) => {
          body += part.toString()
        })
        answer.on('end', () => {
          const status = answer.statusCode ?? 0
          statuses.push(status)
          response.writeHead(status, { 'content-type': 'application/json' }).end(toJson(status, body))
        })
      },
    )
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    endpoint: `http://127.0.0.1:${port}`,
    statuses,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

beforeAll(async () => {
  world = await createWorld()
  moto = await startMoto()
  role = await moto.assume('payments-api')
  await moto.checkSignatures()
  relay = await startRelay(moto.endpoint)
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs:
  aws:
    sigv4: {regions: [${REGION}, us-east-1], stsEndpoint: "${relay.endpoint}"}
    accounts: {"${ACCOUNT}": {}}
registrations:
  - name: payments-api
    spiffeId: spiffe://example.org/payments/api
    match: {aws: {role: "arn:aws:iam::${ACCOUNT}:role/payments-api"}}
    jwt: {audiences: ["https://api.partner.example"]}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  authority = startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
    cwd: world.directory,
    env: { SALLYPORT_DEV: '1' },
  })
  url = `http://${String((await authority.event('listening')).address)}`
})
afterAll(async () => {
  await authority[Symbol.asyncDispose]()
  await relay[Symbol.asyncDispose]()
  await moto[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

const environment = () => ({
  AWS_ACCESS_KEY_ID: role.accessKeyId,
  AWS_SECRET_ACCESS_KEY: role.secretAccessKey,
  AWS_SESSION_TOKEN: role.sessionToken,
  AWS_REGION: REGION,
  AWS_EC2_METADATA_DISABLED: 'true',
})

/** A key and CSR by openssl, and what a proof for it is bound to. */
async function createRequest(name: string) {
  const openssl = await needProgram('openssl')
  const file = (end: string) => path.join(world.directory, `${name}.${end}`)
  const made = await run(openssl, [
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/'],
    ...['-keyout', file('key'), '-out', file('csr')],
  ])
  expect(made.code, made.stderr).toBe(0)
  const { stdout } = await run(openssl, ['req', '-in', file('csr'), '-noout', '-pubkey'])
  await writeFile(file('public'), stdout)
  const spki = createPublicKey(stdout).export({ type: 'spki', format: 'der' })
  const binding = `x509:${createHash('sha256').update(spki).digest('base64url')}`
  return { csr: await readFile(file('csr'), 'utf8'), binding, publicKeyFile: file('public') }
}

async function post(route: string, body: object) {
  const response = await fetch(`${url}${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> }
}

describe('a role session proves itself', () => {
  const issued = { status: 201, answer: { spiffeId: 'spiffe://example.org/payments/api' } }

  test('by our client', async () => {
    const { code, stdout, stderr } = await runSallyport(
      [
        ...['identity', 'fetch', '--authority', url, '--trust-domain', 'example.org', '--json'],
        ...['--aws', '--aws-proof', 'sigv4', '--audience', AUDIENCE],
        ...['--out', path.join(world.directory, 'workload')],
      ],
      { cwd: world.directory, env: environment() },
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject(issued.answer)
    expect(relay.statuses.at(-1)).toBe(200)
  })

  test.each([false, true])("by AWS's signer for JavaScript, applyChecksum %s", async (applyChecksum) => {
    const { csr, binding } = await createRequest(`smithy-${applyChecksum}`)
    const aws = await signAwsProof(role, { audience: AUDIENCE, binding, date: new Date(), applyChecksum })
    expect(await post('/v1/svid/x509', { csr, aws })).toMatchObject(issued)
  })

  test.each(['an X.509-SVID', 'a JWT-SVID'])('by botocore from the documentation, for %s', async (what) => {
    await using folder = await makeFolderInTree()
    await copyFile(path.join(REPOSITORY, 'examples/clients/aws-proof.py'), path.join(folder.here, 'proof.py'))
    const { csr, publicKeyFile } = await createRequest('botocore')
    await copyFile(publicKeyFile, path.join(folder.here, 'public.pem'))
    const audience = 'https://api.partner.example'
    const x509 = what === 'an X.509-SVID'
    const { code, stdout, stderr } = await runInTree(
      [
        ...['python3', `${folder.there}/proof.py`, '--audience', AUDIENCE, '--region', REGION],
        ...(x509 ? ['--public-key', `${folder.there}/public.pem`] : ['--jwt-audience', audience]),
      ],
      environment(),
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const aws: unknown = JSON.parse(stdout)
    const answer = await (x509
      ? post('/v1/svid/x509', { csr, aws })
      : post('/v1/svid/jwt', { audience, aws }))
    expect(answer).toMatchObject(issued)
  })
})

describe('moto refuses, and so does the authority,', () => {
  test.for<[string, (made: { binding: string }) => Parameters<typeof signAwsProof>[1]]>([
    ['another audience', ({ binding }) => ({ binding, audience: 'https://other.example', date: new Date() })],
    ['another key', () => ({ binding: `x509:${'A'.repeat(43)}`, audience: AUDIENCE, date: new Date() })],
    [
      'another host',
      ({ binding }) => ({ binding, audience: AUDIENCE, date: new Date(), host: 'sts.amazonaws.com' }),
    ],
    ['another body', ({ binding }) => ({ binding, audience: AUDIENCE, date: new Date(), body: 'Action=x' })],
  ])('a signature for %s', async ([name, input]) => {
    const made = await createRequest(`bad-${name.replace(' ', '-')}`)
    const aws = await signAwsProof(role, input(made))
    const refused = await post('/v1/svid/x509', { csr: made.csr, aws })
    expect(refused).toMatchObject({ status: 401, answer: { code: 'proof-refused' } })
    expect(relay.statuses.at(-1)).toBe(403)
  })

  test.for<[string, (aws: Record<string, unknown>) => Record<string, unknown>]>([
    [
      'one changed digit',
      (aws) => ({ ...aws, signature: String(aws.signature).replace(/^./, (d) => (d === '0' ? '1' : '0')) }),
    ],
    ['another region', (aws) => ({ ...aws, region: 'us-east-1' })],
    ['no session token', (aws) => ({ ...aws, sessionToken: undefined })],
    ['a checksum header that was not signed', (aws) => ({ ...aws, signed: ['x-amz-content-sha256'] })],
  ])('a good signature with %s', async ([name, spoil]) => {
    const { csr, binding } = await createRequest(`spoilt-${name.replaceAll(' ', '-')}`)
    const aws = await signAwsProof(role, { audience: AUDIENCE, binding, date: new Date() })
    const refused = await post('/v1/svid/x509', { csr, aws: spoil(aws) })
    expect(refused).toMatchObject({ status: 401, answer: { code: 'proof-refused' } })
    expect(relay.statuses.at(-1)).toBe(403)
  })
})
