// The routes without a proof, and those that are none: the same answers on a socket and as Lambda handler.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readBundle } from '../../../spiffe/bundle.ts'
import { createCsr } from '../../unit/lambdas/identity/support.ts'
import { type BothWays, startBothWays, type Way } from './both-ways.ts'

let authority: BothWays

beforeAll(async () => {
  authority = await startBothWays()
})
afterAll(() => authority[Symbol.asyncDispose]())

const WAYS: readonly Way[] = ['socket', 'Lambda']

describe.each(WAYS)('by %s', (way) => {
  test('GET /v1/bundle is a SPIFFE bundle that caches may keep for a fifth of its hint', async () => {
    const { status, headers, body } = await authority.send(way, { method: 'GET', path: '/v1/bundle' })
    expect({ status, type: headers['content-type'], cache: headers['cache-control'] }).toEqual({
      status: 200,
      type: 'application/json',
      cache: 'max-age=60',
    })
    const bundle = readBundle(body, 'example.org')
    expect(bundle.x509Authorities).toHaveLength(1)
    expect(bundle.refreshHintSeconds).toBe(300)
  })

  test('GET /v1/bundle.pem is the same root', async () => {
    const { body, headers } = await authority.send(way, { method: 'GET', path: '/v1/bundle.pem' })
    expect(headers['content-type']).toBe('application/pem-certificate-chain')
    expect(body).toMatch(/^-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n$/)
  })

  test('GET /healthz says that it can sign', async () => {
    const { status, body } = await authority.send(way, { method: 'GET', path: '/healthz' })
    expect({ status, body }).toEqual({ status: 200, body: '{"status":"ok"}' })
  })

  test.each<[string, string, string, number, string]>([
    ['an unknown path', 'GET', '/v1/nothing', 404, 'not-found'],
    ['the wrong method for a proof', 'GET', '/v1/svid/x509', 405, 'method-not-allowed'],
    ['the wrong method for a bundle', 'POST', '/v1/bundle', 405, 'method-not-allowed'],
    ['a path with a slash more', 'GET', '/v1/bundle/', 404, 'not-found'],
    ['attack 51: a JWT-SVID without a proof', 'POST', '/v1/svid/jwt', 401, 'proof-refused'],
    ['attack 51: an explanation without a proof', 'POST', '/v1/explain', 401, 'proof-refused'],
    ['the wrong method for a JWT-SVID', 'GET', '/v1/svid/jwt', 405, 'method-not-allowed'],
  ])('%s is a problem document', async (_name, method, path, status, code) => {
    const answer = await authority.send(way, { method, path })
    expect(answer.status).toBe(status)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(JSON.parse(answer.body)).toMatchObject({ code, status, type: `urn:sallyport:problem:${code}` })
  })

  test('every answer has an id for the log, and may not be sniffed', async () => {
    const { headers } = await authority.send(way, { method: 'GET', path: '/v1/bundle' })
    expect(headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
    expect(headers['x-content-type-options']).toBe('nosniff')
  })

  test('two Authorization headers are no proof', async () => {
    const token = await authority.token()
    const { status } = await authority.send(way, {
      method: 'POST',
      path: '/v1/svid/x509',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token},Bearer ${token}` },
      body: JSON.stringify({ csr: await createCsr() }),
    })
    expect(status).toBe(401)
  })

  test('another type of body is 415, and comes to Lambda as base64', async () => {
    const { status } = await authority.send(way, {
      method: 'POST',
      path: '/v1/svid/x509',
      headers: {
        'content-type': 'application/octet-stream',
        authorization: `Bearer ${await authority.token()}`,
      },
      body: JSON.stringify({ csr: await createCsr() }),
    })
    expect(status).toBe(415)
  })
})

test('an event that AWS did not make gets no more than its proof', async () => {
  const { handler } = await import('../../../lambdas/identity/handler.ts')
  // What a caller with lambda:InvokeFunction can write: an authorizer's verdict, an IAM identity.
  const event = {
    version: '2.0',
    rawPath: '/v1/svid/x509',
    rawQueryString: '',
    headers: { 'content-type': 'application/json', host: 'x' },
    requestContext: {
      domainName: 'x',
      http: { method: 'POST', path: '/v1/svid/x509' },
      authorizer: {
        jwt: { claims: { sub: 'workload', kind: 'workload' } },
        iam: { userArn: 'arn:aws:iam::1:root' },
      },
    },
    body: JSON.stringify({ csr: await createCsr() }),
    isBase64Encoded: false,
  } as unknown as Parameters<typeof handler>[0]
  expect(await handler(event)).toMatchObject({ statusCode: 401 })
})
