// The signature of the Lambda bundle's AWS client, held against AWS's own signer.
import { Hash } from '@smithy/hash-node'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type AwsCredentials, createSigner } from '../../../../../lambdas/identity/aws-json/signature.ts'

const KEY = fc.stringMatching(/^[A-Za-z0-9/+]{8,40}$/)
const CREDENTIALS: fc.Arbitrary<AwsCredentials> = fc.record({
  accessKeyId: fc.stringMatching(/^A[A-Z0-9]{15,19}$/),
  secretAccessKey: KEY,
  sessionToken: fc.option(KEY, { nil: undefined }),
})
const CALL = fc.record({
  credentials: CREDENTIALS,
  host: fc.constantFrom('dynamodb.eu-west-1.amazonaws.com', '127.0.0.1:8000'),
  target: fc.stringMatching(/^[A-Za-z]{1,20}_20120810\.[A-Za-z]{1,20}$/),
  body: fc.string({ unit: 'binary' }),
  now: fc.date({ min: new Date('2026-01-01'), max: new Date('2040-01-01'), noInvalidDate: true }),
})

it('is what @smithy/signature-v4 makes of the same request', async () => {
  const sign = createSigner('eu-west-1', 'dynamodb')
  await fc.assert(
    fc.asyncProperty(CALL, async ({ credentials, host, target, body, now }) => {
      const headers = { 'content-type': 'application/x-amz-json-1.0', host, 'x-amz-target': target }
      const { accessKeyId, secretAccessKey, sessionToken } = credentials
      const theirs = new SignatureV4({
        credentials: {
          accessKeyId,
          secretAccessKey,
          ...(sessionToken === undefined ? {} : { sessionToken }),
        },
        region: 'eu-west-1',
        service: 'dynamodb',
        sha256: Hash.bind(null, 'sha256'),
      })
      const request = { method: 'POST', protocol: 'https:', hostname: host, path: '/', headers, body }
      const expected = await theirs.sign(request, { signingDate: now })
      expect(sign({ credentials, headers, body, now })).toEqual(expected.headers)
    }),
    { numRuns: 200 },
  )
})

it('never signs with the key of another day or secret', () => {
  const sign = createSigner('eu-west-1', 'dynamodb')
  const call = { headers: { host: 'a.example' }, body: '{}' }
  const at = (secretAccessKey: string, now: string) =>
    sign({ ...call, credentials: { accessKeyId: 'A', secretAccessKey }, now: new Date(now) }).authorization
  const signatures = [
    at('one', '2026-11-24T23:59:59Z'),
    at('two', '2026-11-24T23:59:59Z'),
    at('two', '2026-11-25T00:00:00Z'),
    at('one', '2026-11-25T00:00:00Z'),
  ]
  expect(new Set(signatures).size).toBe(4)
  const fresh = createSigner('eu-west-1', 'dynamodb')
  const credentials = { accessKeyId: 'A', secretAccessKey: 'one' }
  expect(signatures[3]).toBe(
    fresh({ ...call, credentials, now: new Date('2026-11-25T00:00:00Z') }).authorization,
  )
})
