// Signatures of tokens: every answer is held against jose's, which is the measure and too slow for Lambda.
import fc from 'fast-check'
import { compactVerify, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import { importKey, readKeySet } from '../../../../../lambdas/identity/proofs/key-set.ts'
import {
  ALGORITHMS,
  type Algorithm,
  parseCompactToken,
} from '../../../../../lambdas/identity/proofs/token.ts'
import { isTokenSignedBy } from '../../../../../lambdas/identity/proofs/token-signature.ts'

interface Signed {
  readonly token: string
  readonly own: ReturnType<typeof importKey>
  readonly theirs: CryptoKey
}

const signed = new Map<Algorithm, Signed>()

beforeAll(async () => {
  for (const algorithm of ALGORITHMS) {
    const { publicKey, privateKey } = await generateKeyPair(algorithm)
    const keys = readKeySet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'a' }] })
    const token = await new SignJWT({ sub: 'someone' })
      .setProtectedHeader({ alg: algorithm, kid: 'a' })
      .sign(privateKey)
    signed.set(algorithm, { token, own: importKey(keys, algorithm), theirs: publicKey })
  }
})

function of(algorithm: Algorithm): Signed {
  const found = signed.get(algorithm)
  if (found === undefined) throw new Error(`nothing signed with ${algorithm}`)
  return found
}

async function joseSays(token: string, { theirs }: Signed, algorithm: Algorithm): Promise<boolean> {
  return compactVerify(token, theirs, { algorithms: [algorithm] }).then(
    () => true,
    () => false,
  )
}

/** With one character of the payload or the signature changed, or the signature's length. */
const changed = (token: string) => {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  return fc.oneof(
    fc.nat(payload.length - 1).map((at) => {
      const other = payload[at] === 'A' ? 'B' : 'A'
      return `${header}.${payload.slice(0, at)}${other}${payload.slice(at + 1)}.${signature}`
    }),
    fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
      const other = Buffer.from(bytes)
      other[at] = (other[at] ?? 0) ^ bits
      return `${header}.${payload}.${other.toString('base64url')}`
    }),
    fc
      .nat(bytes.length + 8)
      .filter((length) => length > 0)
      .map((length) => {
        const other = Buffer.concat([bytes, Buffer.alloc(8)]).subarray(0, length)
        return `${header}.${payload}.${other.toString('base64url')}`
      }),
  )
}

describe.each(ALGORITHMS)('a signature by %s', (algorithm) => {
  test('holds as it was made', () => {
    const { token, own } = of(algorithm)
    expect(isTokenSignedBy(parseCompactToken(token), own)).toBe(true)
  })

  test('holds after a change where it holds for jose, which is nowhere but in its own full length', async () => {
    const all = of(algorithm)
    await fc.assert(
      fc.asyncProperty(changed(all.token), async (token) => {
        let parsed: ReturnType<typeof parseCompactToken>
        try {
          parsed = parseCompactToken(token)
        } catch {
          return // The change made the payload unreadable, which is refused before the signature is looked at.
        }
        expect(isTokenSignedBy(parsed, all.own)).toBe(await joseSays(token, all, algorithm))
      }),
      { numRuns: 60 },
    )
  })
})

describe('a signature of the right key', () => {
  test.each([
    ['in DER instead of r and s', 'ES256', 'der'],
    ['with a salt of another length than the hash', 'PS256', 'salt'],
  ] as const)('%s does not hold', async (_name, algorithm, kind) => {
    const { constants, generateKeyPairSync, sign } = await import('node:crypto')
    const pair =
      kind === 'der'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('rsa', { modulusLength: 2048 })
    const [header, payload] = of(algorithm).token.split('.')
    const options =
      kind === 'der'
        ? { dsaEncoding: 'der' as const }
        : { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 20 }
    const bytes = sign('sha256', Buffer.from(`${header}.${payload}`), { key: pair.privateKey, ...options })
    const token = `${header}.${payload}.${bytes.toString('base64url')}`
    expect(isTokenSignedBy(parseCompactToken(token), pair.publicKey)).toBe(false)
  })
})

test('a key whose modulus is short behind leading zeros is not used', async () => {
  const { generateKeyPairSync } = await import('node:crypto')
  const { n = '', e } = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
    format: 'jwk',
  })
  const long = Buffer.concat([Buffer.alloc(128), Buffer.from(n, 'base64url')]).toString('base64url')
  const keys = readKeySet({ keys: [{ kty: 'RSA', n: long, e, kid: 'a' }] })
  expect(keys).toHaveLength(1)
  expect(() => importKey(keys, 'RS256')).toThrow(expect.objectContaining({ code: 'key-unfit' }))
})
