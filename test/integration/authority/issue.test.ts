// POST /v1/svid/x509, on a socket and as Lambda handler: what a good proof gets, what a CSR cannot ask for, and that a
// refusal says nothing.
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as x509 from '../../../common/x509-library.ts'
import { createCsr, createKeys, type CsrKey } from '../../unit/lambdas/identity/support.ts'
import { type BothWays, startBothWays, type Way } from './both-ways.ts'

let authority: BothWays

beforeAll(async () => {
  authority = await startBothWays()
})
afterAll(() => authority[Symbol.asyncDispose]())

const WAYS: readonly Way[] = ['socket', 'Lambda']

interface Issued {
  readonly spiffeId: string
  readonly certificateChain: string
  readonly bundle: string
  readonly serialNumber: string
  readonly expiresAt: string
  readonly renewAfter: string
  readonly registration: string
}

function split(pem: string): readonly X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (one) => new X509Certificate(one),
  )
}

async function issue(way: Way, body: object, claims: object = {}): Promise<Issued> {
  const answer = await authority.post(way, body, await authority.token({ ...claims }))
  expect(answer.body).toContain('certificateChain')
  expect(answer.status).toBe(201)
  expect(answer.headers['cache-control']).toBe('no-store')
  return JSON.parse(answer.body) as Issued
}

describe.each(WAYS)('by %s, a good proof', (way) => {
  test('gets a certificate that chains to the bundle, for this key, name and time', async () => {
    const keys = await createKeys('P-256')
    const issued = await issue(way, { csr: await createCsr({ keys }) })
    expect(issued).toMatchObject({ spiffeId: 'spiffe://example.org/payments/api', registration: 'workload' })
    const [leaf, issuing, ...more] = split(issued.certificateChain)
    const [root] = split(issued.bundle)
    if (leaf === undefined || issuing === undefined || root === undefined) throw new Error('chain is short')
    expect(more).toEqual([])
    expect(leaf.verify(issuing.publicKey) && issuing.verify(root.publicKey)).toBe(true)
    expect(leaf.subjectAltName).toBe('URI:spiffe://example.org/payments/api')
    expect(leaf.ca).toBe(false)
    expect(leaf.serialNumber.toLowerCase()).toBe(issued.serialNumber)
    const spki = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey))
    expect(leaf.publicKey.export({ type: 'spki', format: 'der' }).equals(spki)).toBe(true)
    const life = leaf.validToDate.getTime() - Date.now()
    expect(life).toBeGreaterThan(3_500_000)
    expect(life).toBeLessThanOrEqual(3_600_000)
    expect(new Date(issued.expiresAt)).toEqual(leaf.validToDate)
    const bundle = await authority.send(way, { method: 'GET', path: '/v1/bundle.pem' })
    expect(bundle.body).toBe(issued.bundle)
    expect(await authority.issuances()).toContainEqual(
      expect.objectContaining({ serialNumber: issued.serialNumber, spiffeId: issued.spiffeId }),
    )
  })

  test('attack 41: gets nothing of what else its CSR asks for', async () => {
    const csr = await createCsr({
      name: 'CN=root, O=evil',
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'url', value: 'spiffe://example.org/sallyport/admin' },
          { type: 'dns', value: 'bank.example' },
        ]),
        new x509.BasicConstraintsExtension(true, 3, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    })
    const [leaf] = split((await issue(way, { csr })).certificateChain)
    expect(leaf?.subjectAltName).toBe('URI:spiffe://example.org/payments/api')
    expect(leaf?.ca).toBe(false)
    expect(`${leaf?.subject}`).not.toContain('evil')
    expect(leaf?.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  })

  test.each<[string, number, number]>([
    ['a shorter life', 120, 120],
    ['a longer one is clamped to the registration', 86_400, 3_600],
  ])('that asks for %s', async (_name, ttlSeconds, expected) => {
    const { expiresAt } = await issue(way, { csr: await createCsr(), ttlSeconds })
    const life = (Date.parse(expiresAt) - Date.now()) / 1000
    expect(life).toBeGreaterThan(expected - 60)
    expect(life).toBeLessThanOrEqual(expected)
  })

  test('may come again with the same key and not with another', async () => {
    const token = await authority.token()
    const csr = await createCsr()
    expect((await authority.post(way, { csr }, token)).status).toBe(201)
    expect((await authority.post(way, { csr }, token)).status).toBe(201)
    expect((await authority.post(way, { csr: await createCsr() }, token)).status).toBe(401)
  })

  test('that several registrations match must name one', async () => {
    const csr = await createCsr()
    const ambiguous = await authority.post(way, { csr }, await authority.token({ kind: 'twice' }))
    expect(ambiguous.status).toBe(409)
    expect(JSON.parse(ambiguous.body)).toMatchObject({
      code: 'registration-ambiguous',
      registrations: ['one', 'two'],
    })
    const named = await issue(way, { csr, registration: 'two' }, { kind: 'twice' })
    expect(named.spiffeId).toBe('spiffe://example.org/two')
  })
})

describe.each(WAYS)('by %s, a proof that is refused', (way) => {
  const seconds = () => Math.floor(Date.now() / 1000)
  const proofs: Record<string, () => Promise<string | null>> = {
    'no token': async () => null,
    'not a token': async () => 'abc',
    'for another audience': () => authority.token({ aud: 'https://other.example.org' }),
    'of another issuer': () => authority.token({ iss: 'https://evil.example' }),
    'of an issuer that differs by a slash': () => authority.token({ iss: `${authority.issuer.issuer}/` }),
    expired: () => authority.token({ exp: seconds() - 120, iat: seconds() - 400 }),
    'not yet valid': () => authority.token({ nbf: seconds() + 600 }),
    'without expiry': () => authority.token({ exp: undefined }),
    'too old for the issuer': () => authority.token({ iat: seconds() - 700, exp: seconds() + 600 }),
    'with alg none': async () => {
      const [, payload = ''] = (await authority.token()).split('.')
      return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
    },
    'signed by nobody we know': async () => {
      const [header, payload] = (await authority.token()).split('.')
      return `${header}.${payload}.${Buffer.alloc(64, 7).toString('base64url')}`
    },
    'with a key that it names itself': async () => {
      const header = { jku: 'http://127.0.0.1:9/keys', kid: 'other' }
      return authority.issuer.sign({ iss: authority.issuer.issuer }, { header })
    },
  }

  test.each(Object.keys(proofs))('%s: the same bare 401', async (name) => {
    const fetches = authority.issuer.total
    const answer = await authority.post(way, { csr: await createCsr() }, (await proofs[name]?.()) ?? null)
    expect(answer.status).toBe(401)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.headers['www-authenticate']).toBe('Bearer')
    expect(JSON.parse(answer.body)).toEqual({
      type: 'urn:sallyport:problem:proof-refused',
      title: 'The proof of identity was refused.',
      status: 401,
      code: 'proof-refused',
    })
    // An issuer that is not configured is never called, nor is a place that a token names.
    if (/issuer/.test(name)) expect(authority.issuer.total).toBe(fetches)
  })

  test('by no registration is a 403', async () => {
    const answer = await authority.post(way, { csr: await createCsr() }, await authority.token({ kind: 'x' }))
    expect(answer.status).toBe(403)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'registration-refused' })
  })

  test.each<[string, Record<string, unknown>]>([
    ['missing', { team: undefined }],
    ['a path of its own', { team: 'a/../b' }],
    ['a dot segment', { service: '..' }],
    ['empty', { service: '' }],
    ['an object', { service: { x: 1 } }],
  ])('whose claim for the template is %s gets nothing', async (_name, claims) => {
    const answer = await authority.post(way, { csr: await createCsr() }, await authority.token(claims))
    expect(answer.status).toBe(403)
  })
})

describe.each(WAYS)('by %s, a request that is refused', (way) => {
  test.each<[string, CsrKey]>([
    ['weak', 'RSA-1024'],
    ['huge', 'RSA-4098'],
  ])('a %s key', async (_name, kind) => {
    const answer = await authority.post(way, { csr: await createCsr({ kind }) }, await authority.token())
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'csr-refused' })
  })

  test('a CSR whose signature does not hold', async () => {
    const der = Buffer.from((await createCsr()).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
    const last = der.length - 1
    der[last] = (der[last] ?? 0) ^ 1
    const csr = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    const answer = await authority.post(way, { csr }, await authority.token())
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'csr-refused' })
  })

  test.each<[string, unknown, number, string]>([
    ['an unknown field', { csr: 'x', spiffeId: 'spiffe://example.org/admin' }, 400, 'request-malformed'],
    ['a missing CSR', {}, 400, 'request-malformed'],
    ['a key twice', '{"csr":"a","csr":"b"}', 400, 'request-malformed'],
    ['no JSON', 'csr=abc', 400, 'request-malformed'],
    ['a body over 32 KiB', { csr: 'x'.repeat(33_000) }, 413, 'request-too-large'],
  ])('%s', async (_name, body, status, code) => {
    const answer = await authority.post(way, body, await authority.token())
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.body)).toMatchObject({ code, status })
  })
})

test('the log says why, and holds neither token nor key', async () => {
  const token = await authority.token({ aud: 'https://other.example.org' })
  await authority.post('socket', { csr: await createCsr() }, token)
  expect(authority.log.at(-1)).toMatchObject({ event: 'svid.refused', code: 'audience-mismatch' })
  const text = JSON.stringify(authority.log)
  expect(text).not.toContain(token.split('.')[2])
  expect(text).not.toContain('PRIVATE KEY')
})
