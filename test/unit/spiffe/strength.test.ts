import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readCertificate } from '../../../spiffe/certificate.ts'
import { hasStrongKey, hasStrongSignature } from '../../../spiffe/strength.ts'
import { der, make, p256, signerOf, root as makeRoot } from './certificates.ts'

const root = await makeRoot()

/** An RSA public key of exactly `bits`: nobody has its private key, and none is needed. */
function rsa(bits: number): KeyObject {
  const modulus = Buffer.alloc(Math.ceil(bits / 8), 0xff)
  modulus[0] = 0xff >> (modulus.length * 8 - bits)
  return createPublicKey({ key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }, format: 'jwk' })
}
const curve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).publicKey

describe('keys', () => {
  const cases: Record<string, readonly [spki: KeyObject | Uint8Array, strong: boolean]> = {
    'P-256': [curve('P-256'), true],
    'P-384': [curve('P-384'), true],
    'P-521': [curve('P-521'), true],
    'P-224': [curve('P-224'), false],
    secp256k1: [curve('secp256k1'), false],
    Ed25519: [generateKeyPairSync('ed25519').publicKey, true],
    Ed448: [generateKeyPairSync('ed448').publicKey, false],
    'X25519, which cannot sign': [generateKeyPairSync('x25519').publicKey, false],
    'RSA of 1024 bits': [rsa(1024), false],
    'RSA of 2047 bits': [rsa(2047), false],
    'RSA of 2048 bits': [rsa(2048), true],
    'RSA of 4096 bits': [rsa(4096), true],
    'RSA of 8192 bits': [rsa(8192), true],
    'RSA of 8193 bits, a burden to the verifier': [rsa(8193), false],
    'RSA of 16384 bits': [rsa(16_384), false],
    'RSA-PSS of 2048 bits': [generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey, true],
    'RSA-PSS of 1024 bits': [generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).publicKey, false],
    'an algorithm that nobody knows': [
      der(0x30, der(0x30, der(0x06, Buffer.from('2a030405', 'hex'))), der(0x03, '\0\x01\x02')),
      false,
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [spki, strong]) => {
    const { certificate } = await make({ subject: 'CN=x', by: signerOf(root), spki })
    expect(hasStrongKey(certificate)).toBe(strong)
  })
})

describe('signatures', () => {
  const rsaKeys =
    (name: string) =>
    (hash: string): Promise<CryptoKeyPair> =>
      webcrypto.subtle.generateKey(
        { name, hash, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
        true,
        ['sign', 'verify'],
      )
  const families: Record<string, (hash: string) => Promise<CryptoKeyPair>> = {
    ECDSA: p256,
    'RSA PKCS #1': rsaKeys('RSASSA-PKCS1-v1_5'),
  }
  const hashes = { 'SHA-1': false, 'SHA-256': true, 'SHA-384': true, 'SHA-512': true }
  const cases = Object.keys(families).flatMap((family) =>
    Object.entries(hashes).map(([hash, strong]) => [family, hash, strong] as const),
  )
  test.each(cases)('%s with %s: %j', async (family, hash, strong) => {
    const keys = await (families[family] ?? p256)(hash)
    const { certificate } = await make({ subject: 'CN=x', keys, hash })
    expect(hasStrongSignature(readCertificate(certificate))).toBe(strong)
  })

  test('Ed25519', async () => {
    const algorithm = { name: 'Ed25519' } as EcKeyGenParams
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const { certificate } = await make({ subject: 'CN=x', keys })
    expect(hasStrongSignature(readCertificate(certificate))).toBe(true)
  })
})
