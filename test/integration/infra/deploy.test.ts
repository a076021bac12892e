// A deployment played over an account on loopback, from the synthesized templates and with the functions' own files: from
// nothing, again, and again after it was destroyed and the CA was kept.
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildAll } from '../../../scripts/deployed.ts'
import { type Account, type RunningAccount, startAccount } from '../../fakes/cloudformation/account.ts'
import { httpApiEvent } from '../../fakes/http-api.ts'
import { signAwsProof } from '../../fixtures/aws-proof.ts'
import { createCsr, createKeys } from '../../unit/lambdas/identity/support.ts'
import { synthesize } from '../../unit/infra/support.ts'

const STACKS = ['sallyport-dev-network', 'sallyport-dev-identity']
const IDENTITY = 'sallyport-dev-identity'

let dist = ''
let assembly = ''
let running: RunningAccount
let account: Account
let outputs: Readonly<Record<string, string>> = {}

beforeAll(async () => {
  dist = await mkdtemp(path.join(os.tmpdir(), 'sallyport-deploy-'))
  await buildAll(dist)
  assembly = synthesize('dev', {}, (name) => path.join(dist, 'deploy', name)).directory
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
