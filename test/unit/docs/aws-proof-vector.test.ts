// The test vector of docs/authority.md is right: it is what a stock signer makes, what the authority builds again, and
// what a signature over its own text is.
import { createHash, createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { keyDigest } from '../../../common/key-digest.ts'
import { buildSignedRequest, SIGV4_PROOF } from '../../../lambdas/identity/proofs/aws/signed-request.ts'
import { judge } from '../../fakes/sts/sigv4.ts'
import { signAwsProof } from '../../fixtures/aws-proof.ts'

const VECTOR = z.strictObject({
  credentials: z.strictObject({
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    sessionToken: z.string(),
  }),
  audience: z.string(),
  region: z.string(),
  date: z.string(),
  publicKeySpki: z.string(),
  binding: z.string(),
  canonicalRequest: z.string(),
  stringToSign: z.string(),
  aws: SIGV4_PROOF,
})
const DATE = new Date('2026-11-24T12:00:00Z')

async function readVector() {
  const file = path.resolve(import.meta.dirname, '../../../docs/aws-proof-vector.json')
  return VECTOR.parse(JSON.parse(await readFile(file, 'utf8')))
}

test("its binding is the digest of the key's SPKI", async () => {
  const { binding, publicKeySpki } = await readVector()
  expect(binding).toBe(`x509:${keyDigest(new Uint8Array(Buffer.from(publicKeySpki, 'base64')))}`)
})

test('a stock signer makes the same proof', async () => {
  const { credentials, audience, binding, region, date, aws } = await readVector()
  expect(await signAwsProof(credentials, { audience, binding, region, date: DATE })).toEqual(aws)
  expect(date).toBe(aws.date)
})

test('the texts in it lead to its signature', async () => {
  const { credentials, canonicalRequest, stringToSign, aws } = await readVector()
  const digest = createHash('sha256').update(canonicalRequest).digest('hex')
  expect(stringToSign.split('\n')).toEqual([
    'AWS4-HMAC-SHA256',
    aws.date,
    `20261124/${aws.region}/sts/aws4_request`,
    digest,
  ])
  const key = ['20261124', aws.region, 'sts', 'aws4_request'].reduce<string | Buffer>(
    (secret, text) => createHmac('sha256', secret).update(text).digest(),
    `AWS4${credentials.secretAccessKey}`,
  )
  expect(createHmac('sha256', key).update(stringToSign).digest('hex')).toBe(aws.signature)
})

test('what the authority sends for it is judged good, and by one letter of the audience bad', async () => {
  const { credentials, audience, binding, aws } = await readVector()
  const judged = (text: string) => {
    const request = buildSignedRequest(aws, { audience: text, binding })
    const rawHeaders = Object.entries(request?.headers ?? {}).flat()
    return judge(
      { method: 'POST', url: '/', rawHeaders, body: request?.body ?? '' },
      { find: () => credentials, now: DATE, hasExpired: () => false, regionOfHost: () => aws.region },
    )
  }
  expect(judged(audience)).toBe(credentials)
  expect(judged(`${audience}x`)).toBe('SignatureDoesNotMatch')
})
