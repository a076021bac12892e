// Rotation and API by their handlers, with root keys in KMS and the used proofs and records in DynamoDB, both moto's
// with its signature check on. The CA's document is in the strict fake of Secrets Manager, since moto gets stages wrong.
import { CreateTableCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { randomUUID } from 'node:crypto'
import { DynamoDBClient as BundleClient, PutItemCommand } from '../../lambdas/identity/aws-json/dynamodb.ts'
import type { AwsCredentials } from '../../lambdas/identity/aws-json/signature.ts'
import { handler } from '../../lambdas/identity/handler.ts'
import { createDynamoReplayStore } from '../../lambdas/identity/replay/dynamodb.ts'
import { createDynamoRateCounter } from '../../lambdas/identity/limits/counter.ts'
import { handler as rotate } from '../../lambdas/rotation/handler.ts'
import { type FakeSecretsManager, startFakeSecretsManager } from '../fakes/aws/secrets-manager.ts'
import { SecretsStore } from '../fakes/aws/secrets-store.ts'
import { callHttpApi } from '../fakes/http-api.ts'
import { goodClaims, type RunningFakeIssuer, startFakeOidcIssuer } from '../fakes/oidc-issuer.ts'
import { needProgram, run } from '../fixtures/process.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { createCsr, random } from '../unit/lambdas/identity/support.ts'
import { ACCOUNT, type Moto, REGION, type RoleCredentials, startMoto } from './moto.ts'

const AUDIENCE = 'https://identity.example.org'
const ISSUING = `arn:aws:secretsmanager:${REGION}:${ACCOUNT}:secret:issuing-AbCdEf`

let moto: Moto
let role: RoleCredentials
let dynamo: DynamoDBClient
let kms: KMSClient
let secrets: FakeSecretsManager
let issuer: RunningFakeIssuer
let world: World

async function createTable(TableName: string): Promise<void> {
  await dynamo.send(
    new CreateTableCommand({
      TableName,
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  )
}

async function createRootKey(): Promise<string> {
  const made = await kms.send(new CreateKeyCommand({ KeySpec: 'ECC_NIST_P384', KeyUsage: 'SIGN_VERIFY' }))
  return made.KeyMetadata?.Arn ?? ''
}

beforeAll(async () => {
  moto = await startMoto()
  role = await moto.assume('sallyport')
  await moto.checkSignatures()
  const connection = { endpoint: moto.endpoint, region: REGION, credentials: role, maxAttempts: 1 }
  dynamo = new DynamoDBClient(connection)
  kms = new KMSClient(connection)
  await createTable('replay')
  await createTable('issuances')
  secrets = await startFakeSecretsManager()
  secrets.secrets.set(ISSUING, new SecretsStore('{"state":"unborn"}'))
  issuer = await startFakeOidcIssuer()
  world = await createWorld()
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: unused}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}", reuse: once}]}
registrations:
  - {name: api, spiffeId: spiffe://example.org/api, match: {oidc: main, claims: {sub: workload}}}
`,
  )
  Object.assign(process.env, {
    SALLYPORT_DEV: '1',
    SALLYPORT_IDENTITY_CONFIG: config,
    SALLYPORT_ISSUING_SECRET: ISSUING,
    SALLYPORT_REPLAY_TABLE: 'replay',
    SALLYPORT_ISSUANCES_TABLE: 'issuances',
    SALLYPORT_TRUST_DOMAIN: 'example.org',
    SALLYPORT_ROOT_KEYS: [await createRootKey(), await createRootKey()].join(','),
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: role.accessKeyId,
    AWS_SECRET_ACCESS_KEY: role.secretAccessKey,
    AWS_SESSION_TOKEN: role.sessionToken,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: moto.endpoint,
    AWS_ENDPOINT_URL_KMS: moto.endpoint,
  })
})
afterAll(async () => {
  dynamo.destroy()
  kms.destroy()
  await world[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
  await secrets[Symbol.asyncDispose]()
  await moto[Symbol.asyncDispose]()
})

async function rotateOnce(): Promise<void> {
  const ClientRequestToken = secrets.secrets.get(ISSUING)?.beginRotation() ?? ''
  for (const Step of ['createSecret', 'setSecret', 'testSecret', 'finishSecret']) {
    await rotate({ Step, SecretId: ISSUING, ClientRequestToken })
  }
}

async function mint(bearer: string) {
  return callHttpApi(handler, {
    method: 'POST',
    path: '/v1/svid/x509',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    body: JSON.stringify({ csr: await createCsr() }),
  })
}

test('a CA whose root key is in KMS issues what OpenSSL verifies, once a token, and each is recorded', async () => {
  await rotateOnce()
  const token = await issuer.sign(goodClaims(issuer.issuer, AUDIENCE, new Date()))
  const answer = await mint(token)
  expect(answer.status, answer.body).toBe(201)
  const { certificateChain, bundle, serialNumber } = JSON.parse(answer.body) as Record<string, string>
  const [leaf = '', ...rest] = (certificateChain ?? '').split(/(?=-----BEGIN)/)
  const verified = await run(await needProgram('openssl'), [
    ...[
      'verify',
      '-x509_strict',
      '-purpose',
      'sslclient',
      '-CAfile',
      await world.file('root.pem', bundle ?? ''),
    ],
    ...['-untrusted', await world.file('chain.pem', rest.join('')), await world.file('leaf.pem', leaf)],
  ])
  expect(verified).toMatchObject({ code: 0, stderr: '' })
  expect((await mint(token)).status).toBe(401)
  const { Items: records = [] } = await dynamo.send(new ScanCommand({ TableName: 'issuances' }))
  expect(records).toMatchObject([{ id: { S: `x509#${serialNumber}` }, registration: { S: 'api' } }])
})

test('a token is tied to what it was first shown for', async () => {
  const store = createDynamoReplayStore({ client: dynamo, table: 'replay', clock: () => new Date(), random })
  const keepUntil = new Date(Date.now() + 60_000)
  const put = (binding: string) => store.put({ id: 'one', binding, keepUntil })
  expect(await put('x509:a')).toBe('stored')
  expect(await put('x509:a')).toBe('same-binding')
  expect(await put('x509:b')).toBe('other-binding')
})

test('as many are counted as the limit allows', async () => {
  const now = new Date()
  const counter = createDynamoRateCounter({ client: dynamo, table: 'replay', clock: () => now })
  const results: (number | null)[] = []
  // One after the other: moto's writes are not atomic. That they are in use is tried with dynalite.
  for (let count = 0; count < 10; count++) results.push(await counter.take('busy', 7))
  const counted = results.map((minute) => minute !== null)
  expect(counted.map(Number)).toEqual([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
  await counter.giveBack('busy', results[0] ?? 0)
  expect([await counter.take('busy', 7), await counter.take('busy', 7)]).toEqual([results[0], null])
})

test('with other credentials nothing is stored', async () => {
  const stranger = new DynamoDBClient({
    ...{ endpoint: moto.endpoint, region: REGION, maxAttempts: 1 },
    credentials: { ...role, secretAccessKey: 'wrong' },
  })
  try {
    const store = createDynamoReplayStore({
      client: stranger,
      table: 'replay',
      clock: () => new Date(),
      random,
    })
    await expect(store.put({ id: 'x', binding: 'b', keepUntil: new Date() })).rejects.toMatchObject({
      $response: { statusCode: 403 },
    })
  } finally {
    stranger.destroy()
  }
})

test('moto judges the signature of the client in the Lambda bundle too', async () => {
  const settings = {
    region: REGION,
    endpoint: moto.endpoint,
    ...{ useFipsEndpoint: false, useDualstackEndpoint: false, maxAttempts: 1 },
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 10_000 },
  }
  const put = (credentials: AwsCredentials) => {
    const client = new BundleClient({ ...settings, credentials: async () => credentials })
    const Item = { id: { S: `bundle#${randomUUID()}` } }
    const sent = client.send(new PutItemCommand({ TableName: 'issuances', Item }))
    return sent.finally(() => client.destroy())
  }
  const { accessKeyId, secretAccessKey, sessionToken } = role
  await put({ accessKeyId, secretAccessKey, sessionToken })
  await expect(put({ accessKeyId, secretAccessKey: 'other', sessionToken })).rejects.toMatchObject({
    status: 403,
  })
})
