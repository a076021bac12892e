// What was signed is judged by other code before it leaves (attacks 43, 46): a signer that is not ours, a certificate that
// is not what was meant, and keys of the authority itself.
import { generateKeyPairSync, type KeyObject, webcrypto, X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { CA_ALGORITHM } from '../../../../../lambdas/identity/authority/ca-key.ts'
import type { AuthorityState } from '../../../../../lambdas/identity/authority/state.ts'
import { mintJwt } from '../../../../../lambdas/identity/mint/jwt.ts'
import { checkSigned, type Intended } from '../../../../../lambdas/identity/mint/self-check.ts'
import { type MintOptions, mintX509 } from '../../../../../lambdas/identity/mint/x509.ts'
import * as x509 from '../../../../../common/x509-library.ts'
import { parseSpiffeId } from '../../../../../spiffe/id.ts'
import { createClock, createCsr, createKeys, createState, createTestAuthority, random } from '../support.ts'

const now = createClock().now()
const ID = 'spiffe://example.org/workload'
let state: AuthorityState
let spki: Uint8Array<ArrayBuffer>
let keys: CryptoKeyPair

beforeAll(async () => {
  state = await createState(now)
  keys = await createKeys('P-256')
  spki = new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey))
})

const mint = (more: Partial<MintOptions> = {}) =>
  mintX509({
    ...{ state, spki, now, random, dnsNames: ['x.internal'], spiffeId: parseSpiffeId(ID) },
    ...{ ttlSeconds: 3600, requestedSeconds: null, proofEnds: null },
    ...more,
  })

function otherCaKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
}

/** As the library that the tests make certificates with takes it. */
function signingKeyOf({ issuing }: AuthorityState): CryptoKey {
  return issuing.key.toCryptoKey(CA_ALGORITHM, false, ['sign'])
}

/** The issuing certificate as the library that the tests make certificates with has it. */
function issuingOf({ issuing }: AuthorityState): x509.X509Certificate {
  return new x509.X509Certificate(new Uint8Array(issuing.chain[0]?.raw ?? []))
}

describe('an X.509-SVID', () => {
  test('is given where all is as it was meant', async () => {
    const { chainPem, sha256 } = await mint()
    expect(new X509Certificate(chainPem).fingerprint256.replaceAll(':', '').toLowerCase()).toBe(sha256)
  })

  test('attack 46: is dropped where another key signed it than that of the issuing CA', async () => {
    const wrong = { ...state, issuing: { ...state.issuing, key: otherCaKey() } }
    await expect(mint({ state: wrong })).rejects.toMatchObject({ code: 'self-check-failed' })
  })

  test('attack 46: is dropped where its chain leads to none of the roots that are published', async () => {
    const other = await createState(now)
    await expect(mint({ state: { ...state, bundle: other.bundle } })).rejects.toMatchObject({
      code: 'self-check-failed',
    })
  })

  test('and the answer is 503, with a record of why and none of an issuance', async () => {
    const wrong = { ...state, issuing: { ...state.issuing, key: otherCaKey() } }
    const authority = await createTestAuthority({
      app: { authority: { current: async () => wrong, readAt: () => now } },
    })
    const answer = await authority.post({ csr: await createCsr() }, await authority.token())
    expect(answer.status).toBe(503)
    expect(await answer.text()).not.toContain('CERTIFICATE')
    expect(authority.issuances).toEqual([])
    expect(authority.log.at(-1)).toMatchObject({ code: 'self-check-failed', level: 'error' })
  })
})

describe('a certificate that our CA signed and nobody meant', () => {
  const at = (minutes: number) => new Date(now.getTime() + minutes * 60_000)
  const meant = (): Intended => ({
    ...{ spiffeId: ID, dnsNames: ['x.internal'], spki, serialNumber: '0102' },
    ...{ notBefore: at(0), notAfter: at(60) },
  })

  interface Made {
    readonly uri?: string
    readonly dns?: readonly string[]
    readonly serialNumber?: string
    readonly notBefore?: Date
    readonly notAfter?: Date
    readonly keys?: CryptoKeyPair
    readonly subject?: string
    readonly ca?: boolean
    readonly flags?: x509.KeyUsageFlags
    readonly usages?: readonly x509.ExtendedKeyUsage[]
  }

  async function make(made: Made): Promise<Uint8Array> {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: made.serialNumber ?? '0102',
      issuer: issuingOf(state).subjectName,
      ...(made.subject === undefined ? {} : { subject: made.subject }),
      notBefore: made.notBefore ?? at(0),
      notAfter: made.notAfter ?? at(60),
      publicKey: (made.keys ?? keys).publicKey,
      signingKey: signingKeyOf(state),
      signingAlgorithm: CA_ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(made.ca ?? false, undefined, true),
        new x509.KeyUsagesExtension(made.flags ?? x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          ...(made.usages ?? [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(issuingOf(state).publicKey),
        new x509.SubjectAlternativeNameExtension(
          [
            { type: 'url', value: made.uri ?? ID },
            ...(made.dns ?? ['x.internal']).map((value) => ({ type: 'dns' as const, value })),
          ],
          true,
        ),
      ],
    })
    return new Uint8Array(certificate.rawData)
  }

  test('passes where it happens to be what was meant', async () => {
    expect(checkSigned(await make({}), meant(), state, now)).toMatch(/^[0-9a-f]{64}$/)
  })

  const cases: Record<string, [Made | (() => Promise<Made>), RegExp]> = {
    'another SPIFFE ID': [{ uri: 'spiffe://example.org/admin' }, /other subject alternative names than/],
    'a DNS name more': [{ dns: ['x.internal', 'bank.example'] }, /other subject alternative names than/],
    'a DNS name less': [{ dns: [] }, /other subject alternative names than/],
    'another key': [async () => ({ keys: await createKeys('P-256') }), /other public key than/],
    'another serial number': [{ serialNumber: '0103' }, /other serial number than/],
    'an earlier start': [{ notBefore: at(-5) }, /other start of validity than/],
    'a later end': [{ notAfter: at(61) }, /other end of validity than/],
    'a CA bit': [{ ca: true }, /is a CA certificate/],
    'a CA bit and the right to sign': [
      { ca: true, flags: x509.KeyUsageFlags.keyCertSign },
      /other CA bit than/,
    ],
    'the right to sign': [
      { flags: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign },
      /./,
    ],
    'a subject': [{ subject: 'CN=workload' }, /other subject than/],
    'no use as a server': [{ usages: [x509.ExtendedKeyUsage.clientAuth] }, /./],
    'no use as a client': [{ usages: [x509.ExtendedKeyUsage.serverAuth] }, /./],
  }
  test.each(Object.entries(cases))('attack 46: with %s is dropped', async (_name, [made, why]) => {
    const der = await make(typeof made === 'function' ? await made() : made)
    expect(() => checkSigned(der, meant(), state, now)).toThrow(
      expect.objectContaining({ code: 'self-check-failed', message: expect.stringMatching(why) }),
    )
  })
})

describe('a JWT-SVID', () => {
  const mintToken = (more: Partial<Parameters<typeof mintJwt>[0]> = {}) => {
    const key = state.jwt.signingKey(now)
    if (key === null) throw new Error('no key')
    return mintJwt({
      ...{ key, issuer: 'https://identity.example.org', spiffeId: parseSpiffeId(ID), audience: 'x' },
      ...{ tokenId: '01', now, expiresAt: new Date(now.getTime() + 300_000) },
      ...more,
    })
  }

  test('attack 46: is dropped where another key signed it than the one that is published', async () => {
    const key = state.jwt.signingKey(now)
    if (key === null) throw new Error('no key')
    expect((await mintToken()).split('.')).toHaveLength(3)
    const { privateKey } = await createKeys('P-256')
    await expect(mintToken({ key: { ...key, key: privateKey } })).rejects.toMatchObject({
      code: 'self-check-failed',
    })
  })
})

describe('attack 43: a key of the authority itself', () => {
  const spkiOf = (certificate: X509Certificate | undefined): Uint8Array<ArrayBuffer> =>
    new Uint8Array(certificate?.publicKey.export({ type: 'spki', format: 'der' }) ?? [])

  test.each<[string, () => Promise<Uint8Array<ArrayBuffer>>]>([
    ['the issuing CA', async () => spkiOf(state.issuing.chain[0])],
    ['a root', async () => spkiOf(state.bundle.x509Authorities[0])],
    [
      'JWT-SVIDs',
      async () => {
        const key = state.jwt.signingKey(now)?.publicKey
        return key === undefined
          ? new Uint8Array()
          : new Uint8Array(await webcrypto.subtle.exportKey('spki', key))
      },
    ],
  ])('that of %s is certified for nobody', async (_name, own) => {
    await expect(mint({ spki: await own() })).rejects.toMatchObject({ code: 'key-of-authority' })
  })

  test('not even where its holder signs the request with it', async () => {
    const authority = await createTestAuthority()
    const privateKey = signingKeyOf(authority.state)
    const publicKey = await issuingOf(authority.state).publicKey.export(CA_ALGORITHM, ['verify'])
    const csr = await createCsr({ kind: 'P-384', keys: { publicKey, privateKey } })
    const answer = await authority.post({ csr }, await authority.token())
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      code: 'csr-refused',
      detail: expect.stringContaining('authority'),
    })
    expect(authority.issuances).toEqual([])
  })
})
