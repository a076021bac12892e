// Key-bound audiences (design §5.4): a token made for one key, or one audience, is good for no other.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AUDIENCE, createCsr, createKeys, createTestAuthority, provider, registration } from './support.ts'

async function boundTo(keys: CryptoKeyPair): Promise<string> {
  const spki = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey))
  return `${AUDIENCE}#x509:${createHash('sha256').update(spki).digest('base64url')}`
}

describe('a token bound to a key', () => {
  test('attack 30: certifies that key and no other, however often its issuer lets it be shown', async () => {
    const keys = await createKeys('P-256')
    const authority = await createTestAuthority({
      providers: [provider({ reuse: 'untilExpiry', maxTokenAgeMs: 600_000 })],
    })
    const token = await authority.token({ aud: await boundTo(keys) })
    const csr = await createCsr({ keys })
    expect((await authority.post({ csr }, token)).status).toBe(201)
    expect((await authority.post({ csr }, token)).status).toBe(201)
    expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(401)
    expect(authority.log.at(-1)).toMatchObject({ code: 'binding-mismatch' })
  })

  const digest = (text: string) => createHash('sha256').update(text).digest('base64url')
  test.each<[string, string, number]>([
    ['attack 30: for the audience it was made for', `jwt:${digest('https://a.example')}`, 201],
    ['attack 30: for no other audience', `jwt:${digest('https://b.example')}`, 401],
    ['attack 30: for none where it was made for a key', `x509:${digest('https://a.example')}`, 401],
  ])('a token bound to an audience gets a JWT-SVID %s', async (_name, binding, status) => {
    const authority = await createTestAuthority({
      providers: [provider({ reuse: 'untilExpiry', maxTokenAgeMs: 600_000 })],
      registrations: [registration({ audiences: ['https://a.example', 'https://b.example'] })],
    })
    const token = await authority.token({ aud: `${AUDIENCE}#${binding}` })
    const answer = await authority.app.request('/v1/svid/jwt', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ audience: 'https://a.example' }),
    })
    expect(answer.status).toBe(status)
    if (status === 401) expect(authority.log.at(-1)).toMatchObject({ code: 'binding-mismatch' })
  })

  test.each<[string, string]>([
    ['another audience before the mark', `https://other.example#x509:${'A'.repeat(43)}`],
    ['nothing behind the mark', `${AUDIENCE}#`],
    ['a digest that is too short', `${AUDIENCE}#x509:abc`],
    ['an unknown kind', `${AUDIENCE}#ssh:${'A'.repeat(43)}`],
    ['two marks', `${AUDIENCE}#x509:${'A'.repeat(43)}#x509:${'A'.repeat(43)}`],
    ['the kind for JWT-SVIDs', `${AUDIENCE}#jwt:${'A'.repeat(43)}`],
  ])('is refused with %s', async (_name, aud) => {
    const authority = await createTestAuthority()
    const answer = await authority.post({ csr: await createCsr() }, await authority.token({ aud }))
    expect(answer.status).toBe(401)
  })
})

test('a registration can demand it', async () => {
  const keys = await createKeys('P-256')
  const authority = await createTestAuthority({ registrations: [registration({ keyBound: true })] })
  const csr = await createCsr({ keys })
  const plain = await authority.post({ csr }, await authority.token())
  expect(plain.status).toBe(403)
  const bound = await authority.post({ csr }, await authority.token({ aud: await boundTo(keys) }))
  expect(bound.status).toBe(201)
})
