// The deployed functions' own files behind the Runtime API, with the events of those who call them: AppConfig's validators,
// Secrets Manager's rotation, and API Gateway's private REST API (payload 1.0, with a stage).
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildAll } from '../../../scripts/deployed.ts'
import {
  type Account,
  type RunningAccount,
  startAccount,
  validatorEvent,
} from '../../fakes/cloudformation/account.ts'
import { synthesize, type Synthesized } from '../../unit/infra/support.ts'

const NAME = 'sallyport-dev'

let dist = ''
let synthesized: Synthesized
let running: RunningAccount
let account: Account

beforeAll(async () => {
  dist = await mkdtemp(path.join(os.tmpdir(), 'sallyport-functions-'))
  await buildAll(dist)
  synthesized = synthesize('dev', { identity: { exposure: 'private' } }, (name) =>
    path.join(dist, 'deploy', name),
  )
  running = await startAccount()
  account = running.account
  await account.deploy(synthesized.directory, [`${NAME}-network`, `${NAME}-identity`])
  await account.deploy(synthesized.directory, [`${NAME}-configuration`])
}, 120_000)
afterAll(async () => {
  await running?.[Symbol.asyncDispose]()
  await rm(dist, { recursive: true, force: true })
})

function invoke(stack: string, prefix: string, event: unknown) {
  const name = account.stack(`${NAME}-${stack}`).idOf(prefix)
  return account.invoke(`arn:aws:lambda:eu-west-1:111122223333:function:${name}`, event)
}

describe('the validator', () => {
  const files = () =>
    (JSON.parse(synthesized.deployment.sources.bundle) as { files: Record<string, string> }).files
  /** The lines of its refusal. */
  async function judge(changed: Readonly<Record<string, string>>): Promise<readonly string[]> {
    const content = JSON.stringify({ files: { ...files(), ...changed } })
    const result = await invoke(
      'configuration',
      'ConfigurationValidatorFunction',
      validatorEvent({}, content),
    )
    return result.ok ? [] : result.errorMessage.split('\n')
  }
  const yaml = () => files()['gateway.yaml'] ?? ''

  test('has nothing against the configuration of the repository, and the stack deploys what it lets through', async () => {
    expect(await judge({})).toEqual([])
    expect(account.events).toContainEqual(
      expect.stringMatching(/^deployed .*gateway by AppConfig\.AllAtOnce$/),
    )
    expect(account.documents.get(`${NAME}/gateway/gateway`)).toBe(synthesized.deployment.sources.bundle)
  })

  test.each<[string, () => Record<string, string>, RegExp]>([
    [
      'a port that no security group lets out',
      () => ({ 'gateway.yaml': yaml().replace('[443]', '[443, 1433]') }),
      /needs-deploy: port 1433/,
    ],
    ['an unknown key', () => ({ 'gateway.yaml': `${yaml()}more: 1\n` }), /unknown key "more"/],
    [
      'a policy of a destination that is not there',
      () => ({
        'gateway.yaml': yaml(),
        'policy.cedar': (files()['policy.cedar'] ?? '').replace('partner-bank', 'partner-bnak'),
      }),
      /policy\.cedar:\d+: .*partner-bnak/,
    ],
    [
      'a private key',
      () => ({ 'bank.key': '-----BEGIN PRIVATE KEY-----' }),
      /files\["bank\.key"\]: holds a private key/,
    ],
  ])('refuses %s', async (_name, changed, line) => {
    expect(await judge(changed())).toContainEqual(expect.stringMatching(line))
  })

  test('fails on an event that is none of AppConfig', async () => {
    expect(await invoke('configuration', 'ConfigurationValidatorFunction', { content: '%' })).toMatchObject({
      ok: false,
      errorMessage: 'not an event of AppConfig',
    })
  })
})

describe('the rotation function', () => {
  const SecretId = () => account.stack(`${NAME}-identity`).idOf('IdentityIssuingSecret')
  const call = (event: object) => invoke('identity', 'IdentityIssuingRotationFunction4', event)

  test('fails on an event that is none of Secrets Manager', async () => {
    expect(await call({ Step: 'deleteSecret' })).toMatchObject({
      ok: false,
      errorMessage: expect.stringMatching(/not an event/),
    })
  })

  test('does not create a version that nobody asked for', async () => {
    const before = account.services.secrets.secrets.get(SecretId())?.current
    const event = { Step: 'createSecret', SecretId: SecretId(), ClientRequestToken: 'x'.repeat(36) }
    expect(await call(event)).toMatchObject({ ok: false })
    expect(account.services.secrets.secrets.get(SecretId())?.current).toBe(before)
  })
})

describe('the authority by its private API', () => {
  /** API Gateway developer guide, "Input format of a Lambda function for proxy integration". */
  const restEvent = (at: string) => ({
    resource: '/{proxy+}',
    path: at,
    httpMethod: 'GET',
    headers: { Host: 'abc123-vpce-0123.execute-api.eu-west-1.amazonaws.com', Accept: '*/*' },
    multiValueHeaders: { Host: ['abc123-vpce-0123.execute-api.eu-west-1.amazonaws.com'], Accept: ['*/*'] },
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    pathParameters: { proxy: at.slice(1) },
    stageVariables: null,
    requestContext: {
      resourcePath: '/{proxy+}',
      httpMethod: 'GET',
      path: `/authority${at}`,
      stage: 'authority',
      domainName: 'abc123-vpce-0123.execute-api.eu-west-1.amazonaws.com',
      identity: { sourceIp: '10.64.0.9', vpceId: 'vpce-0123', vpcId: 'vpc-0123' },
      requestId: 'c6af9ac6-7b61-11e6-9a41-93e8deadbeef',
      apiId: 'abc123',
    },
    body: null,
    isBase64Encoded: false,
  })

  test.each([
    ['/healthz', 200],
    ['/v1/bundle', 200],
    ['/v1/nothing', 404],
  ])('%s: %i', async (at, status) => {
    const result = await invoke('identity', 'IdentityFunction3', restEvent(at))
    expect(result).toMatchObject({ ok: true, payload: { statusCode: status, isBase64Encoded: false } })
  })
})
