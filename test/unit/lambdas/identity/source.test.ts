// Where a request came from, as the socket or API Gateway says: it chooses the bucket of a source, and nothing else.
import { expect, test } from 'vitest'
import { createSourceLimiter } from '../../../../lambdas/identity/limits/source-bucket.ts'
import { createClock, createCsr, createTestAuthority } from './support.ts'

const from: Record<string, (address: string) => object> = {
  'a socket': (remoteAddress) => ({ incoming: { socket: { remoteAddress } } }),
  'an HTTP API (payload 2.0)': (sourceIp) => ({ event: { requestContext: { http: { sourceIp } } } }),
  'a REST API (payload 1.0)': (sourceIp) => ({ event: { requestContext: { identity: { sourceIp } } } }),
}

test.each(Object.entries(from))('two sources behind %s have a bucket each', async (_name, environment) => {
  const sources = createSourceLimiter({ perMinute: 1, clock: createClock().now })
  const authority = await createTestAuthority({ app: { sources } })
  const ask = async (address: string) => {
    const request = new Request('https://identity.example.org/v1/svid/x509', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await authority.token()}` },
      body: JSON.stringify({ csr: await createCsr() }),
    })
    return (await authority.app.fetch(request, environment(address))).status
  }
  expect(await ask('203.0.113.7')).toBe(201)
  expect(await ask('203.0.113.8')).toBe(201)
  expect(await ask('203.0.113.7')).toBe(429)
})
