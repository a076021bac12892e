// The authority as it runs on AWS: rotation function and API by their handlers, with the CA in Secrets Manager, used
// proofs, counts and records in DynamoDB; all by the real SDK clients.
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { handler } from '../../../lambdas/identity/handler.ts'
import { handler as rotate } from '../../../lambdas/rotation/handler.ts'
import { SecretsStore } from '../../fakes/aws/secrets-store.ts'
import { type FakeSecretsManager, startFakeSecretsManager } from '../../fakes/aws/secrets-manager.ts'
import { type RunningDynamoDb, startDynamoDb } from '../../fakes/dynamodb.ts'
import { callHttpApi } from '../../fakes/http-api.ts'
import { goodClaims, type RunningFakeIssuer, startFakeOidcIssuer } from '../../fakes/oidc-issuer.ts'
import { createWorld, type World } from '../../fixtures/world.ts'
import { createCsr } from '../../unit/lambdas/identity/support.ts'

const AUDIENCE = 'https://identity.example.org'
const ISSUING = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:issuing-AbCdEf'
const ROOT = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:root-AbCdEf'
const UNBORN = '{"state":"unborn"}'

let secrets: FakeSecretsManager
let dynamo: RunningDynamoDb
let issuer: RunningFakeIssuer
let world: World

beforeAll(async () => {
  secrets = await startFakeSecretsManager()
  dynamo = await startDynamoDb()
  issuer = await startFakeOidcIssuer()
  world = await createWorld()
  await dynamo.createTable('replay')
  await dynamo.createTable('issuances')
  secrets.secrets.set(ISSUING, new SecretsStore(UNBORN)).set(ROOT, new SecretsStore(UNBORN))
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: unused}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}", reuse: once}]}
registrations:
  - {name: api, spiffeId: spiffe://example.org/api, match: {oidc: main, claims: {sub: workload}}, limits: {perMinute: 100}}
`,
  )
  Object.assign(process.env, {
    SALLYPORT_DEV: '1',
    SALLYPORT_IDENTITY_CONFIG: config,
    SALLYPORT_ISSUING_SECRET: ISSUING,
    SALLYPORT_REPLAY_TABLE: 'replay',
    SALLYPORT_ISSUANCES_TABLE: 'issuances',
    SALLYPORT_TRUST_DOMAIN: 'example.org',
    SALLYPORT_ROOT_SECRET: ROOT,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
  })
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
  await dynamo[Symbol.asyncDispose]()
  await secrets[Symbol.asyncDispose]()
})

async function rotateOnce(): Promise<void> {
  const ClientRequestToken = secrets.secrets.get(ISSUING)?.beginRotation() ?? ''
  for (const Step of ['createSecret', 'setSecret', 'testSecret', 'finishSecret']) {
    await rotate({ Step, SecretId: ISSUING, ClientRequestToken })
  }
}

const token = () => issuer.sign(goodClaims(issuer.issuer, AUDIENCE, new Date()))

async function mint(bearer: string) {
  return callHttpApi(handler, {
    method: 'POST',
    path: '/v1/svid/x509',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    body: JSON.stringify({ csr: await createCsr() }),
  })
}

test('before birth there is nothing but 503; after it an SVID, a record and a used token', async () => {
  for (let request = 0; request < 20; request++) expect((await mint(await token())).status).toBe(503)
  // An instance without a CA does not ask for it at each request.
  expect(secrets.requests).toEqual(['GetSecretValue'])
  await rotateOnce()
  await vi.waitFor(
    async () => expect((await callHttpApi(handler, { method: 'GET', path: '/healthz' })).status).toBe(200),
    { timeout: 20_000, interval: 100 },
  )
  const used = await token()
  const answer = await mint(used)
  expect(answer.status).toBe(201)
  const { certificateChain, serialNumber } = JSON.parse(answer.body) as {
    certificateChain: string
    serialNumber: string
  }
  expect(new X509Certificate(certificateChain).subjectAltName).toBe('URI:spiffe://example.org/api')
  expect((await mint(used)).status).toBe(401)
  const { Items: records = [] } = await dynamo.client.send(new ScanCommand({ TableName: 'issuances' }))
  expect(records).toMatchObject([{ id: { S: `x509#${serialNumber}` }, registration: { S: 'api' } }])
  const { Items: items = [] } = await dynamo.client.send(new ScanCommand({ TableName: 'replay' }))
  expect(items.map(({ id }) => (id?.S ?? '').replace(/#.*/, '')).toSorted()).toEqual(['rate', 'token'])
})

test('the root key stays in its own secret, which the API never reads', async () => {
  const issuing = secrets.secrets.get(ISSUING)?.current ?? ''
  const { keys } = JSON.parse(secrets.secrets.get(ROOT)?.current ?? '{}') as { keys: { key: string }[] }
  const body = keys[0]?.key.split('\n')[1] ?? 'missing'
  expect(issuing).not.toContain(body)
  expect(JSON.parse(issuing)).toMatchObject({
    roots: [{ key: expect.stringContaining(`secretsmanager:${ROOT}#`) }],
  })
})

test('attack 52: where the issuances cannot be written there is no certificate', async () => {
  const before = await dynamo.client.send(new ScanCommand({ TableName: 'issuances', Select: 'COUNT' }))
  const { DeleteTableCommand } = await import('@aws-sdk/client-dynamodb')
  await dynamo.client.send(new DeleteTableCommand({ TableName: 'issuances' }))
  const answer = await mint(await token())
  expect(answer.status).toBe(503)
  expect(answer.body).toContain('issuance-record-unavailable')
  expect(answer.body).not.toContain('CERTIFICATE')
  expect(before.Count).toBe(1)
})

const KMS_KEY = 'arn:aws:kms:eu-west-1:111122223333:key/1'

/** Calls the rotation function in another environment. */
async function rotateWith(env: Record<string, string>, event: object): Promise<void> {
  const kept = { ...process.env }
  Object.assign(process.env, env)
  try {
    await rotate(event)
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
    Object.assign(process.env, kept)
  }
}

test('a KMS key alone is warned of; and KMS that does not answer is not waited for without end', async () => {
  await using silent = await startFakeSecretsManager()
  silent.hanging = true
  const other = ISSUING.replace('issuing', 'other')
  const store = new SecretsStore(UNBORN)
  secrets.secrets.set(other, store)
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const event = { Step: 'createSecret', SecretId: other, ClientRequestToken: store.beginRotation() }
  const env = {
    SALLYPORT_ROOT_SECRET: '',
    SALLYPORT_ROOT_KEYS: KMS_KEY,
    AWS_ENDPOINT_URL_KMS: silent.endpoint,
  }
  await expect(rotateWith(env, event)).rejects.toMatchObject({ code: 'authority-root-key' })
  const lines = written.mock.calls.map(([text]) => String(text))
  written.mockRestore()
  expect(lines.join('')).toMatch(/"level":"WARN".*rotation\.no-spare-key/)
  expect(store.current).toBe(UNBORN)
})

test('Secrets Manager that does not answer is not waited for without end', async () => {
  secrets.hanging = true
  const event = { Step: 'createSecret', SecretId: ISSUING, ClientRequestToken: 'x'.repeat(36) }
  await expect(rotate(event)).rejects.toThrow(/time/i)
  secrets.hanging = false
})

test.each<[string, object, Record<string, string>, RegExp]>([
  ['no event', {}, {}, /not an event of Secrets Manager/],
  [
    'an unknown step',
    { Step: 'dropSecret', SecretId: ISSUING, ClientRequestToken: 'x'.repeat(36) },
    {},
    /not an event/,
  ],
  ['a short token', { Step: 'createSecret', SecretId: ISSUING, ClientRequestToken: 'x' }, {}, /not an event/],
  [
    'no root keys',
    { Step: 'createSecret', SecretId: ISSUING, ClientRequestToken: 'x'.repeat(36) },
    { SALLYPORT_ROOT_SECRET: '' },
    /either SALLYPORT_ROOT_KEYS/,
  ],
  [
    'an alias',
    { Step: 'createSecret', SecretId: ISSUING, ClientRequestToken: 'x'.repeat(36) },
    { SALLYPORT_ROOT_SECRET: '', SALLYPORT_ROOT_KEYS: 'alias/root' },
    /expected ARNs of KMS keys/,
  ],
  [
    'one key as two',
    { Step: 'createSecret', SecretId: ISSUING, ClientRequestToken: 'x'.repeat(36) },
    { SALLYPORT_ROOT_SECRET: '', SALLYPORT_ROOT_KEYS: `${KMS_KEY}, ${KMS_KEY}` },
    /stands there twice/,
  ],
])('the rotation function refuses %s', async (_name, event, env, message) => {
  await expect(rotateWith(env, event)).rejects.toThrow(message)
})
