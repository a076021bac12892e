// A deployment played over an account on loopback, from the synthesized templates and with the functions' own files: from
// nothing, again, and again after it was destroyed and the CA was kept.
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { createHash, X509Certificate } from 'node:crypto'
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildAll } from '../../../scripts/deployed.ts'
import { type Account, type RunningAccount, startAccount } from '../../fakes/cloudformation/account.ts'
import { httpApiEvent } from '../../fakes/http-api.ts'
import { signAwsProof } from '../../fixtures/aws-proof.ts'
import { createCsr, createKeys } from '../../unit/lambdas/identity/support.ts'
import type { FindAsset } from '../../../infra/assets.ts'
import { synthesize } from '../../unit/infra/support.ts'

const STACKS = ['sallyport-dev-network', 'sallyport-dev-identity']
const IDENTITY = 'sallyport-dev-identity'

let dist = ''
let assembly = ''
let running: RunningAccount
let account: Account
let outputs: Readonly<Record<string, string>> = {}

const find: FindAsset = (name) => path.join(dist, 'deploy', name)

beforeAll(async () => {
  dist = await mkdtemp(path.join(os.tmpdir(), 'sallyport-deploy-'))
  await buildAll(dist)
  // As in prod: what cannot be made again stays.
  assembly = synthesize('dev', { retain: true }, find).directory
  running = await startAccount()
  account = running.account
  outputs = await account.deploy(assembly, STACKS)
}, 120_000)
afterAll(async () => {
  await running?.[Symbol.asyncDispose]()
  await rm(dist, { recursive: true, force: true })
})

const identityFunction = () => account.stack(IDENTITY).idOf('IdentityFunction3')
const arnOf = (name: string) => `arn:aws:lambda:eu-west-1:111122223333:function:${name}`

async function ask(request: Parameters<typeof httpApiEvent>[0]) {
  const result = await account.invoke(arnOf(identityFunction()), httpApiEvent(request))
  if (!result.ok) throw new Error(result.errorMessage)
  const { statusCode, body } = result.payload as { statusCode: number; body: string }
  return { statusCode, json: JSON.parse(body) as Record<string, unknown> }
}

async function certify(role: string) {
  const keys = await createKeys('P-256')
  const csr = await createCsr({ keys })
  const spki = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey))
  const binding = `x509:${createHash('sha256').update(spki).digest('base64url')}`
  const credentials = account.services.sts.addRole({ role })
  const input = { audience: outputs.Issuer ?? '', binding, date: new Date() }
  const body = JSON.stringify({ csr, aws: await signAwsProof(credentials, input) })
  return ask({ method: 'POST', path: '/v1/svid/x509', headers: { 'content-type': 'application/json' }, body })
}

const stored = () => account.services.secrets.secrets.get(outputs.IssuingSecret ?? '')

test('from nothing: a CA is born by the first rotation, awaited, and the authority answers', async () => {
  expect(account.events).toEqual(['rotated', 'born'])
  expect(JSON.parse(stored()?.current ?? '')).toMatchObject({
    roots: [{ key: expect.stringMatching(/arn:aws:kms:/) }],
  })
  expect((await ask({ method: 'GET', path: '/healthz' })).statusCode).toBe(200)
})

test('the gateway gets its own certificate by its role, and it is recorded', async () => {
  const { statusCode, json } = await certify('sallyport-gateway')
  expect(statusCode).toBe(201)
  const certificate = new X509Certificate(String(json.certificateChain))
  expect(certificate.subjectAltName).toContain('URI:spiffe://example.org/sallyport/gateway')
  expect(certificate.subjectAltName).toContain('DNS:gateway.sallyport.internal')
  const TableName = account.stack(IDENTITY).idOf('IdentityTablesIssuances')
  const { Items = [] } = await account.services.dynamo.client.send(new ScanCommand({ TableName }))
  expect(Items.map(({ id }) => id?.S)).toEqual([`x509#${String(json.serialNumber)}`])
})

test('a role of no registration gets nothing', async () => {
  expect((await certify('somebody')).statusCode).toBe(403)
})

const ca = () => JSON.parse(stored()?.current ?? '') as { roots: { certificate: string; key: string }[] }
const TABLES = ['ReplayTable', 'IssuancesTable'] as const

test('again, with nothing new: nothing is changed, and nothing happens to the CA', async () => {
  const [events, before] = [account.events.length, stored()?.current]
  await account.deploy(assembly, STACKS)
  expect(account.stack(IDENTITY).changes).toEqual([])
  expect(account.events.slice(events)).toEqual([])
  expect(stored()?.current).toBe(before)
})

test('an upgrade: functions are new, birth is seen again, and the CA goes on', async () => {
  const [events, before] = [account.events.length, stored()?.current]
  for (const name of ['identity', 'rotation', 'birth']) {
    await appendFile(path.join(dist, 'deploy', name, `${name}.js`), '\n// another version\n')
  }
  await account.deploy(synthesize('dev', { retain: true }, find).directory, STACKS)
  expect(account.events.slice(events)).toEqual(['born'])
  expect(stored()?.current).toBe(before)
  expect((await certify('sallyport-gateway')).statusCode).toBe(201)
})

test('the day after: rotation gives a new issuing CA under the same root', async () => {
  const { roots } = ca()
  await account.rotate(
    outputs.IssuingSecret ?? '',
    arnOf(account.stack(IDENTITY).idOf('IdentityIssuingRotationFunction4')),
  )
  expect(account.events.at(-1)).toBe('rotated')
  expect(ca().roots.map(({ certificate }) => certificate)).toEqual(
    roots.map(({ certificate }) => certificate),
  )
})

test('destroyed, and deployed with what was kept: the same CA, the same records', async () => {
  const { roots } = ca()
  for (const name of STACKS.toReversed()) await account.stack(name).destroy()
  expect(account.functions.size).toBe(0)
  const adopt = {
    dataKeyArn: outputs.DataKeyArn ?? '',
    issuingSecretArn: outputs.IssuingSecret ?? '',
    rootKeyArns: (outputs.RootKeys ?? '').split(','),
    replayTable: outputs.ReplayTable ?? '',
    issuancesTable: outputs.IssuancesTable ?? '',
  }
  const events = account.events.length
  const again = await account.deploy(synthesize('dev', { retain: true, adopt }, find).directory, STACKS)
  expect(TABLES.map((name) => again[name])).toEqual(TABLES.map((name) => outputs[name]))
  expect(again.IssuingSecret).toBe(outputs.IssuingSecret)
  expect(account.services.secrets.secrets.size).toBe(1)
  outputs = again
  expect(account.events.slice(events)).toEqual(['rotated', 'born'])
  expect(ca().roots.map(({ certificate }) => certificate)).toEqual(
    roots.map(({ certificate }) => certificate),
  )
  const { statusCode, json } = await certify('sallyport-gateway')
  expect(statusCode).toBe(201)
  const chain = String(json.certificateChain).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []
  const [, issuing = ''] = chain
  expect(
    new X509Certificate(issuing).verify(new X509Certificate(roots[0]?.certificate ?? '').publicKey),
  ).toBe(true)
  const { Items = [] } = await account.services.dynamo.client.send(
    new ScanCommand({ TableName: outputs.IssuancesTable ?? '' }),
  )
  expect(Items).toHaveLength(3)
})

test('destroyed, and deployed without what was kept: another CA, whose root nobody trusts yet', async () => {
  const { roots } = ca()
  const kept = outputs.IssuingSecret
  for (const name of STACKS.toReversed()) await account.stack(name).destroy()
  outputs = await account.deploy(assembly, STACKS)
  expect(outputs.IssuingSecret).not.toBe(kept)
  expect(ca().roots[0]?.certificate).not.toBe(roots[0]?.certificate)
  expect(account.services.secrets.secrets.get(kept ?? '')?.current).toContain('roots')
})
