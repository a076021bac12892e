// What ships to Lambda: the minified bundle, in a process of its own, with Secrets Manager and DynamoDB by the SDK clients
// that are in it. It is cut more than the source says (scripts/bundles.ts), so it is held against the source here.
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { handler } from '../../../lambdas/identity/handler.ts'
import { buildIdentity } from '../../../scripts/bundles.ts'
import { httpApiEvent } from '../../fakes/http-api.ts'
import { runInstance } from '../../fixtures/on-lambda/instance.ts'
import {
  type Deployment,
  type LambdaServices,
  startLambdaServices,
} from '../../fixtures/on-lambda/services.ts'

const MAX_BUNDLE_BYTES = 1024 * 1024

let directory = ''
let bytes = 0
let services: LambdaServices
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-bundle-'))
  await writeFile(path.join(directory, 'package.json'), '{"type":"module"}\n')
  bytes = await buildIdentity(directory)
  services = await startLambdaServices()
})
afterAll(async () => {
  await services[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

const run = (env: Deployment['env'], events: readonly object[]) =>
  runInstance({ bundle: path.join(directory, 'identity.js'), env, events })

test('the identity bundle, with all files it may load, is under 1 MiB', () => {
  expect(bytes).toBeGreaterThan(0)
  expect(bytes).toBeLessThan(MAX_BUNDLE_BYTES)
})

describe('the bundle', () => {
  test('mints by TLS for a whole estate: CA read, issuance counted and recorded, token used up', async () => {
    const { env, event } = await services.deploy({ tls: true, estate: true })
    const [first, second] = [await event(), await event()] as { headers: object; body: string }[]
    // The token of the first with the key of the second.
    const stolen = { ...second, headers: first?.headers }
    const { answers, output, loaded } = await run(env, [first ?? {}, stolen])
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 401])
    const { certificateChain, serialNumber } = JSON.parse(answers[0]?.body ?? '') as Record<string, string>
    expect(new X509Certificate(certificateChain ?? '').subjectAltName).toBe(
      'URI:spiffe://example.org/workload',
    )
    const records = await services.dynamo.client.send(new ScanCommand({ TableName: 'sallyport-issuances' }))
    expect(records.Items?.map(({ id }) => id?.S)).toContain(`x509#${serialNumber}`)
    const used = await services.dynamo.client.send(new ScanCommand({ TableName: 'sallyport-replay' }))
    expect(new Set(used.Items?.map(({ id }) => id?.S?.replace(/#.*/, '')))).toEqual(
      new Set(['rate', 'token']),
    )
    expect(output).toMatch(/"SvidIssued":1/)
    // Node's second HTTP client takes a fifth of a cold start to load, and nobody needs it.
    expect(loaded.filter((name) => name.includes('undici'))).toEqual([])
  })

  test('takes credentials from the environment alone, and says where there are none', async () => {
    const { env, event } = await services.deploy()
    const { AWS_ACCESS_KEY_ID: _id, ...without } = env
    const { answers, output } = await run(without, [await event()])
    expect(answers[0]?.statusCode).toBe(503)
    expect(answers[0]?.body).not.toContain('AWS_')
    expect(output).toContain('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set')
  })

  test('tries again after a failure of Secrets Manager', async () => {
    const { env, event } = await services.deploy()
    services.secrets.failing = true
    try {
      const { answers, output } = await run(env, [await event(), await event()])
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([503, 503])
      expect(output).toMatch(/"StartFailed":1/)
    } finally {
      services.secrets.failing = false
    }
    expect((await run(env, [await event()])).answers[0]?.statusCode).toBe(201)
  })

  test('makes a CA in files, by the part that it loads for that alone', async () => {
    const { env, event } = await services.deploy({ files: true })
    const { answers } = await run(env, [await event(), await event()])
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 201])
  })
})

interface Answer {
  readonly statusCode: number
  readonly headers: Record<string, string>
  readonly body: string
}

const JSON_TYPE = { 'content-type': 'application/json' }
const post = (more: Partial<Parameters<typeof httpApiEvent>[0]>) =>
  httpApiEvent({ method: 'POST', path: '/v1/svid/x509', headers: JSON_TYPE, ...more })
const get = (at: string, more: object = {}) => ({ ...httpApiEvent({ method: 'GET', path: at }), ...more })

/** What needs no proof, and what is refused before one counts. */
const SAME: readonly (readonly [string, object])[] = [
  ['the bundle', get('/v1/bundle')],
  ['the bundle in PEM', get('/v1/bundle.pem')],
  ['the keys of JWT-SVIDs', get('/v1/jwks')],
  ['discovery', get('/.well-known/openid-configuration')],
  ['the OpenAPI document', get('/v1/openapi.json')],
  ['health', get('/healthz')],
  ['a query', get('/v1/jwks?a=b&c=%2f')],
  ['HEAD', { ...httpApiEvent({ method: 'HEAD', path: '/v1/bundle' }) }],
  ['nothing', get('/v1/nothing')],
  ['a path that climbs', get('/v1/../v1/jwks')],
  ['a double slash', get('//v1/jwks')],
  ['another method', httpApiEvent({ method: 'DELETE', path: '/v1/svid/jwt' })],
  ['TRACE', httpApiEvent({ method: 'TRACE', path: '/v1/jwks' })],
  ['GET with a body', httpApiEvent({ method: 'GET', path: '/v1/jwks', body: 'x' })],
  ['neither token nor body', post({})],
  ['a token that is none', post({ headers: { ...JSON_TYPE, authorization: 'Bearer x' }, body: '{}' })],
  ['no JSON', post({ body: '{' })],
  ['a key twice', post({ body: '{"csr":"a","csr":"b"}' })],
  ['a body of another form', post({ body: '{"csr":1,"ttlSeconds":1.5,"more":[]}' })],
  ['another type of body', post({ headers: { 'content-type': 'text/plain' }, body: '{}' })],
  ['a body in base64', post({ headers: { 'content-type': 'application/x' }, body: Buffer.from([1, 255]) })],
  ['a large body', post({ body: `"${'a'.repeat(40_000)}"` })],
  ['text beyond ASCII in a header', post({ headers: { ...JSON_TYPE, 'x-a': 'ü€' }, body: '{}' })],
  ['a line break in a header', get('/v1/jwks', { headers: { host: 'a.example', 'x-a': 'b\r\nc: d' } })],
  ['a header without a name', get('/v1/jwks', { headers: { host: 'a.example', '': 'b' } })],
  ['cookies', get('/v1/jwks', { cookies: ['a=b', 'c=d'] })],
  [
    'a host that is none',
    get('/v1/jwks', { requestContext: { domainName: 'a b', http: { method: 'GET' } } }),
  ],
]

test('the bundle answers as the source does, byte for byte, what is not a matter of chance', async () => {
  const { env } = await services.deploy()
  Object.assign(process.env, env)
  // Hono's adapter says there what it makes of an event that is none.
  vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const { answers } = await run(
    env,
    SAME.map(([, event]) => event),
  )
  for (const [index, [name, event]] of SAME.entries()) {
    const expected = (await (handler as (event: object) => Promise<unknown>)(event)) as Answer
    const found = answers[index]
    const { 'x-request-id': _own, ...headers } = found?.headers ?? {}
    const { 'x-request-id': _other, ...expectedHeaders } = expected.headers
    expect({ name, ...found, headers }).toEqual({ name, ...expected, headers: expectedHeaders })
  }
})
