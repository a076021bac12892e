// The signatures of certification requests, made here from scratch: whatever signs them is OpenSSL by node:crypto.
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { expect, it } from 'vitest'
import { writeDer } from '../../../../../lambdas/identity/mint/der.ts'
import { readCsr } from '../../../../../lambdas/identity/mint/csr.ts'
import { TAG } from '../../../../../spiffe/der.ts'

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const OIDS = {
  'ecdsa sha256': '06082a8648ce3d040302',
  'ecdsa sha384': '06082a8648ce3d040303',
  'ecdsa sha512': '06082a8648ce3d040304',
  'ecdsa sha1': '06072a8648ce3d0401',
  'pkcs1 sha256': '06092a864886f70d01010b0500',
  'pkcs1 sha384': '06092a864886f70d01010c0500',
  'pkcs1 sha512': '06092a864886f70d01010d0500',
  'pkcs1 sha1': '06092a864886f70d0101050500',
} as const
/** RSASSA-PSS with SHA-256 for hash and mask, and a salt of 32 bytes (RFC 8017 §A.2.3). */
const PSS =
  '06092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120'

interface Parts {
  readonly key: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  /** What the algorithm says. */
  readonly algorithm: string
  readonly hash: string
  readonly pss?: boolean
  /** How many bits the signature leaves unused, as it says. */
  readonly unused?: number
}

function csr({ key, algorithm, hash, pss = false, unused = 0 }: Parts): string {
  const spki = key.publicKey.export({ type: 'spki', format: 'der' })
  const none = Buffer.alloc(0)
  const info = writeDer(
    TAG.SEQUENCE,
    writeDer(TAG.INTEGER, Buffer.from([0])),
    Buffer.from('3000', 'hex'),
    spki,
    writeDer(0xa0, none),
  )
  const padding = pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}
  const signature = sign(hash, info, { key: key.privateKey, ...padding })
  const bits = writeDer(TAG.BIT_STRING, Buffer.from([unused]), signature)
  const der = writeDer(TAG.SEQUENCE, info, writeDer(TAG.SEQUENCE, Buffer.from(algorithm, 'hex')), bits)
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
}

it.each(['sha256', 'sha384', 'sha512'] as const)('takes %s by ECDSA and by RSA', async (hash) => {
  await readCsr(csr({ key: EC, algorithm: OIDS[`ecdsa ${hash}`], hash }))
  await readCsr(csr({ key: RSA, algorithm: OIDS[`pkcs1 ${hash}`], hash }))
})

it('takes RSA-PSS', async () => {
  await readCsr(csr({ key: RSA, algorithm: PSS, hash: 'sha256', pss: true }))
})

it.each<[string, Parts]>([
  ['SHA-1 by ECDSA', { key: EC, algorithm: OIDS['ecdsa sha1'], hash: 'sha1' }],
  ['SHA-1 by RSA', { key: RSA, algorithm: OIDS['pkcs1 sha1'], hash: 'sha1' }],
  ['another hash than it says', { key: EC, algorithm: OIDS['ecdsa sha256'], hash: 'sha384' }],
  ['an algorithm of the other kind of key', { key: RSA, algorithm: OIDS['ecdsa sha256'], hash: 'sha256' }],
  ['an algorithm of the other kind of key, EC', { key: EC, algorithm: OIDS['pkcs1 sha256'], hash: 'sha256' }],
  ['PKCS #1 where it says PSS', { key: RSA, algorithm: PSS, hash: 'sha256' }],
  ['PSS where it says PKCS #1', { key: RSA, algorithm: OIDS['pkcs1 sha256'], hash: 'sha256', pss: true }],
  ['PSS without parameters', { key: RSA, algorithm: PSS.slice(0, 22), hash: 'sha256', pss: true }],
  ['unused bits', { key: EC, algorithm: OIDS['ecdsa sha256'], hash: 'sha256', unused: 1 }],
])('attack 42: refuses %s', async (_name, parts) => {
  await expect(readCsr(csr(parts))).rejects.toMatchObject({ code: 'csr-signature' })
})
