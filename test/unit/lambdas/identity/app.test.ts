// The authority's app under a clock and stores that fail: what only time and broken parts can show.
import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createCsr, createTestAuthority, registration } from './support.ts'

async function codeOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { code?: unknown }).code
}

describe('an issuance that cannot be recorded', () => {
  test('is not answered, and the same proof and key may come again', async () => {
    const authority = await createTestAuthority()
    const token = await authority.token()
    const csr = await createCsr()
    authority.failIssuances = true
    const refused = await authority.post({ csr }, token)
    expect(refused.status).toBe(503)
    const text = await refused.text()
    expect(text).toContain('issuance-record-unavailable')
    expect(text).not.toContain('CERTIFICATE')
    expect(authority.issuances).toEqual([])
    authority.failIssuances = false
    expect((await authority.post({ csr }, token)).status).toBe(201)
    expect(authority.issuances).toHaveLength(1)
  })

  test('names who, by what proof and which certificate, once it can', async () => {
    const authority = await createTestAuthority()
    const response = await authority.post(
      { csr: await createCsr() },
      await authority.token({ jti: 'token-1' }),
    )
    const { serialNumber } = (await response.json()) as { serialNumber: string }
    expect(authority.issuances[0]).toMatchObject({
      serialNumber,
      spiffeId: 'spiffe://example.org/workload',
      registration: 'workload',
    })
    expect(JSON.stringify(authority.issuances[0])).toContain('token-1')
  })
})

describe('time', () => {
  test('a token is good until its expiry and not a minute after', async () => {
    const authority = await createTestAuthority()
    const token = await authority.token()
    const csr = await createCsr()
    authority.clock.advance(290_000)
    expect((await authority.post({ csr }, token)).status).toBe(201)
    authority.clock.advance(130_000)
    expect(await codeOf(await authority.post({ csr }, token))).toBe('proof-refused')
  })

  test('an SVID never outlives the issuing CA', async () => {
    const authority = await createTestAuthority({ registrations: [registration({ ttlSeconds: 86_400 })] })
    const response = await authority.post({ csr: await createCsr() }, await authority.token())
    const { certificateChain } = (await response.json()) as { certificateChain: string }
    const [leaf = '', issuing = ''] = certificateChain.split(/(?<=-----END CERTIFICATE-----\n)/)
    const end = (pem: string) => new X509Certificate(pem).validToDate.getTime()
    expect(end(leaf)).toBeLessThanOrEqual(end(issuing))
  })

  test('with an issuing CA that has expired nothing is signed, and /healthz says so', async () => {
    const authority = await createTestAuthority()
    authority.clock.advance(8 * 86_400_000)
    expect(await codeOf(await authority.post({ csr: await createCsr() }, await authority.token()))).toBe(
      'authority-unavailable',
    )
    expect((await authority.app.request('/healthz')).status).toBe(503)
  })

  test('/healthz signs at most every 30 s', async () => {
    let draws = 0
    const authority = await createTestAuthority({
      app: {
        random: (bytes) => {
          draws += 1
          return crypto.getRandomValues(new Uint8Array(bytes))
        },
      },
    })
    const ask = async () => (await authority.app.request('/healthz')).status
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([200, 200, 200])
    // One draw for the id of each request, one for the serial number of each leaf.
    expect(draws).toBe(3 + 1)
    authority.clock.advance(29_000)
    await ask()
    expect(draws).toBe(4 + 1)
    authority.clock.advance(2_000)
    await ask()
    expect(draws).toBe(5 + 2)
  })
})
