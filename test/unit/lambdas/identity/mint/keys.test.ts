// Which keys and requests are certified (attacks 41 to 43).
import {
  checkPrimeSync,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  generatePrimeSync,
  webcrypto,
} from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CsrError } from '../../../../../lambdas/identity/mint/csr-error.ts'
import { MAX_CSR_BYTES, readCsr } from '../../../../../lambdas/identity/mint/csr.ts'
import { checkPublicKey } from '../../../../../lambdas/identity/mint/public-key.ts'
import { findRsaWeakness } from '../../../../../lambdas/identity/mint/rsa-weakness.ts'
import { type CsrKey, createCsr, createKeys } from '../support.ts'

async function spkiOf(keys: CryptoKeyPair): Promise<Uint8Array> {
  return new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey))
}

function spkiFromNode(namedCurve: string, paramEncoding: 'named' | 'explicit' = 'named'): Uint8Array {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve, paramEncoding })
  return publicKey.export({ type: 'spki', format: 'der' })
}

describe('readCsr', () => {
  it.each(['P-256', 'P-384', 'RSA-2048', 'RSA-4096'] as const)(
    'gives the public key of a %s request',
    async (kind) => {
      const keys = await createKeys(kind)
      expect(await readCsr(await createCsr({ keys, kind }))).toEqual(await spkiOf(keys))
    },
  )

  it.each([
    ['P-521', 'key-unsupported'],
    ['Ed25519', 'key-unsupported'],
    ['RSA-1024', 'key-weak'],
    ['RSA-4098', 'key-weak'],
  ] as readonly [CsrKey, string][])('refuses a %s key', async (kind, code) => {
    await expect(readCsr(await createCsr({ kind }))).rejects.toMatchObject({ code })
  })

  it('attack 42: refuses a request whose signature was changed', async () => {
    const pem = await createCsr()
    const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
    const last = der.length - 1
    der[last] = (der[last] ?? 0) ^ 1
    await expect(readCsr(toPem(der))).rejects.toMatchObject({ code: 'csr-signature' })
  })

  it('attack 42: refuses a request that another key signed', async () => {
    const [own, other] = [await createKeys('P-256'), await createKeys('P-256')]
    const mixed = { publicKey: own.publicKey, privateKey: other.privateKey }
    await expect(readCsr(await createCsr({ keys: mixed }))).rejects.toMatchObject({ code: 'csr-signature' })
  })

  it('refuses bytes after the request', async () => {
    const der = Buffer.from((await createCsr()).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
    await expect(readCsr(toPem(Buffer.concat([der, Buffer.from([0])])))).rejects.toMatchObject({
      code: 'csr-malformed',
    })
  })

  it('refuses two requests in one text, and text around one', async () => {
    const pem = await createCsr()
    for (const text of [
      `${pem}\n${pem}`,
      `x${pem}`,
      `${pem}x`,
      pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'),
    ]) {
      await expect(readCsr(text)).rejects.toMatchObject({ code: 'csr-malformed' })
    }
  })

  it('attack 43: refuses a text over 8 KiB before it reads it', async () => {
    await expect(readCsr(' '.repeat(MAX_CSR_BYTES + 1))).rejects.toMatchObject({ code: 'csr-too-large' })
  })

  it('gives the signed key or its own error, whatever the bytes', async () => {
    const pem = await createCsr()
    const good = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
    const key = Buffer.from(await readCsr(pem)).toString('hex')
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (index, change) => {
        const der = Buffer.from(good)
        der[index] = (der[index] ?? 0) ^ change
        // What the signature does not cover (its own encoding) may change and still hold; the key never may.
        const outcome = await readCsr(toPem(der)).then(
          (spki) => Buffer.from(spki).toString('hex'),
          (error: unknown) => (error instanceof CsrError ? key : error),
        )
        expect(outcome).toBe(key)
      }),
      { numRuns: 300 },
    )
  })
})

function toPem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
}

describe('checkPublicKey', () => {
  const curves: Record<string, Uint8Array> = {
    'a curve of 192 bits': spkiFromNode('prime192v1'),
    secp256k1: spkiFromNode('secp256k1'),
    'explicit parameters of P-256': spkiFromNode('prime256v1', 'explicit'),
  }
  it.each(Object.entries(curves))('attack 43: refuses %s', (_name, spki) => {
    expect(() => checkPublicKey(spki)).toThrow(expect.objectContaining({ code: 'key-unsupported' }))
  })

  it('refuses a compressed point', () => {
    const spki = Buffer.from(spkiFromNode('prime256v1'))
    const point = Buffer.concat([Buffer.from([2 + ((spki.at(-1) ?? 0) & 1)]), spki.subarray(-64, -32)])
    const compressed = Buffer.concat([
      Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
      point,
    ])
    expect(() => checkPublicKey(compressed)).toThrow(expect.objectContaining({ code: 'key-unsupported' }))
  })

  /** The same key in another encoding, which OpenSSL reads all the same. */
  const encodings: Record<string, (spki: Buffer) => Buffer> = {
    'a length in more bytes than it needs': (spki) =>
      Buffer.concat([Buffer.from([0x30, 0x83, 0x00]), spki.subarray(2)]),
    'bytes behind its end': (spki) => Buffer.concat([spki, Buffer.from([0])]),
  }
  it.each(Object.entries(encodings))('attack 43: refuses an RSA key with %s', (_name, encode) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    expect(checkPublicKey(spki).spki).toEqual(new Uint8Array(spki))
    const other = encode(spki)
    // Else the case would show nothing: the library has to read it as this very key.
    const key = createPublicKey({ key: other, format: 'der', type: 'spki' })
    expect(key.export({ type: 'spki', format: 'der' }).equals(spki)).toBe(true)
    expect(() => checkPublicKey(other)).toThrow(
      expect.objectContaining({ code: 'key-unsupported', message: expect.stringContaining('canonical') }),
    )
  })

  it.each([3, 17])('attack 43: refuses the RSA exponent %i', (publicExponent) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent })
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    expect(() => checkPublicKey(spki)).toThrow(expect.objectContaining({ code: 'key-weak' }))
  })

  it.each(['rsa-pss', 'dsa', 'x25519', 'ed448'])('refuses a key of type %s', (type) => {
    const spki = spkiOfType(type)
    expect(() => checkPublicKey(spki)).toThrow(expect.objectContaining({ code: 'key-unsupported' }))
  })
})

function spkiOfType(type: string): Uint8Array {
  const spki = { type: 'spki', format: 'der' } as const
  if (type === 'rsa-pss')
    return generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey.export(spki)
  if (type === 'dsa')
    return generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }).publicKey.export(spki)
  if (type === 'x25519') return generateKeyPairSync('x25519').publicKey.export(spki)
  return generateKeyPairSync('ed448').publicKey.export(spki)
}

describe('findRsaWeakness', () => {
  const modulusOf = (): bigint => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { n = '' } = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })).export({
      format: 'jwk',
    })
    return BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
  }

  it('finds nothing in sound keys', () => {
    for (let count = 0; count < 5; count++) expect(findRsaWeakness(modulusOf())).toBeNull()
  })

  it('finds a small factor', () => {
    expect(findRsaWeakness(751n * generatePrimeSync(2039, { bigint: true }))).toMatch(/small factor/)
  })

  it('finds primes that are close together', () => {
    const p = generatePrimeSync(1024, { bigint: true })
    expect(findRsaWeakness(p * p)).toMatch(/close together/)
    expect(findRsaWeakness(p * nextPrime(p))).toMatch(/close together/)
  })

  it('attack 43: finds the structure of ROCA keys', () => {
    // Primes of the broken library are k·M + (65537^a mod M) with M a product of small primes.
    const M = [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n, 53n, 59n, 61n, 67n, 71n]
      .concat([
        73n,
        79n,
        83n,
        89n,
        97n,
        101n,
        103n,
        107n,
        109n,
        113n,
        127n,
        131n,
        137n,
        139n,
        149n,
        151n,
        157n,
        163n,
        167n,
      ])
      .reduce((product, prime) => product * prime, 1n)
    const prime = (exponent: number, k: bigint) => {
      let power = 1n
      for (let count = 0; count < exponent; count++) power = (power * 65537n) % M
      return k * M + power
    }
    expect(findRsaWeakness(prime(12, 1n << 780n) * prime(900, (1n << 790n) + 12345n))).toMatch(
      /ROCA|small factor/,
    )
  })
})

function nextPrime(value: bigint): bigint {
  let next = value + 2n
  while (!checkPrimeSync(next)) next += 2n
  return next
}
