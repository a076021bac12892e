// The file that Lambda gets: small enough, and what was left out of the SDK is not missed. It mints with the CA in Secrets
// Manager and the stores in DynamoDB, by credentials of the environment.
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { handler as Handler } from '../../../lambdas/identity/handler.ts'
import { buildBundle, IDENTITY } from '../../../scripts/bundles.ts'
import { SecretsStore } from '../../fakes/aws/secrets-store.ts'
import { type FakeSecretsManager, startFakeSecretsManager } from '../../fakes/aws/secrets-manager.ts'
import { type RunningDynamoDb, startDynamoDb } from '../../fakes/dynamodb.ts'
import { callHttpApi } from '../../fakes/http-api.ts'
import { goodClaims, type RunningFakeIssuer, startFakeOidcIssuer } from '../../fakes/oidc-issuer.ts'
import { createWorld, type World } from '../../fixtures/world.ts'
import { createCsr, createDocument } from '../../unit/lambdas/identity/support.ts'

const MIB = 1024 * 1024
const AUDIENCE = 'https://identity.example.org'
const ISSUING = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:issuing-AbCdEf'

let secrets: FakeSecretsManager
let dynamo: RunningDynamoDb
let issuer: RunningFakeIssuer
let world: World
let bundle = ''

beforeAll(async () => {
  secrets = await startFakeSecretsManager()
  dynamo = await startDynamoDb()
  issuer = await startFakeOidcIssuer()
  world = await createWorld()
  await dynamo.createTable('replay')
  await dynamo.createTable('issuances')
  secrets.secrets.set(ISSUING, new SecretsStore(JSON.stringify(await createDocument(new Date()))))
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {secretsManager: {issuing: "${ISSUING}"}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}"}]}
registrations: [{name: api, spiffeId: spiffe://example.org/api, match: {oidc: main, claims: {sub: workload}}}]
replay: {dynamodb: {table: replay}}
issuances: {dynamodb: {table: issuances}}
`,
  )
  Object.assign(process.env, {
    SALLYPORT_DEV: '1',
    SALLYPORT_IDENTITY_CONFIG: config,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamo.endpoint,
  })
  await buildBundle(IDENTITY, world.directory)
  await world.file('package.json', '{"type":"module"}\n')
  bundle = path.join(world.directory, IDENTITY.out)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
  await dynamo[Symbol.asyncDispose]()
  await secrets[Symbol.asyncDispose]()
})

test('it is under 1 MiB', async () => {
  expect((await stat(bundle)).size).toBeLessThan(MIB)
})

test('it mints, refuses a used proof, and describes itself', async () => {
  const { handler } = (await import(pathToFileURL(bundle).href)) as { handler: typeof Handler }
  const token = await issuer.sign(goodClaims(issuer.issuer, AUDIENCE, new Date()))
  const mint = async () =>
    callHttpApi(handler, {
      method: 'POST',
      path: '/v1/svid/x509',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ csr: await createCsr() }),
    })
  const answer = await mint()
  expect(answer.status, answer.body).toBe(201)
  expect(JSON.parse(answer.body)).toMatchObject({ spiffeId: 'spiffe://example.org/api' })
  expect((await mint()).status).toBe(401)
  for (const route of ['/v1/bundle', '/v1/jwks', '/v1/openapi.json', '/healthz']) {
    expect((await callHttpApi(handler, { method: 'GET', path: route })).status, route).toBe(200)
  }
})
