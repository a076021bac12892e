// The request to STS is a pure function of a few values (attacks 1 to 6): nothing else of the caller's is in it.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CALL_BODY } from '../../../../../../common/signed-call.ts'
import {
  buildSignedRequest,
  SIGV4_PROOF,
  type SigV4Fields,
} from '../../../../../../lambdas/identity/proofs/aws/signed-request.ts'

const GOOD: SigV4Fields = {
  accessKeyId: 'ASIAAAAAAAAAAAAAAAAA',
  sessionToken: 'token',
  region: 'eu-west-1',
  date: '20261124T120000Z',
  signature: 'a'.repeat(64),
}
const VALUES = { audience: 'https://identity.example.org', binding: `x509:${'A'.repeat(43)}` }

describe('SIGV4_PROOF', () => {
  test.each<[string, Record<string, unknown>]>([
    ['attack 1: another action', { action: 'AssumeRole' }],
    ['attack 1: a body', { body: 'Action=AssumeRoleWithWebIdentity' }],
    ['attack 1: a method', { method: 'GET' }],
    ['attack 4: headers', { headers: { 'x-amz-date': 'x' } }],
    ['attack 4: a header in other case', { 'X-Amz-Date': '20261124T120000Z' }],
    ['attack 4: a line break in the token', { sessionToken: 'a\r\nhost: evil' }],
    ['attack 4: a NUL in the token', { sessionToken: 'a\0' }],
    ['attack 4: a folded token', { sessionToken: 'a\n b' }],
    ['attack 4: a token that is not ASCII', { sessionToken: 'tökén' }],
    ['attack 4: blanks around the token', { sessionToken: ' a' }],
    ['a token of 17 KiB', { sessionToken: 'a'.repeat(17 * 1024) }],
    ['attack 5: a host', { host: 'evil.example' }],
    ['attack 5: an endpoint that is a host', { endpoint: 'sts.evil.example' }],
    ['attack 5: the global endpoint', { endpoint: 'global' }],
    ['attack 6: a URL', { url: 'https://sts.amazonaws.com/?Action=GetCallerIdentity' }],
    ['attack 2: other signed headers', { signed: ['x-evil'] }],
    ['attack 2: the audience header named by the caller', { signed: ['x-sallyport-audience'] }],
    ['a key id in lower case', { accessKeyId: 'asiaaaaaaaaaaaaaaaaa' }],
    ['a key id with a slash', { accessKeyId: 'ASIAAAAAAAAAAAAAAA/A' }],
    ['a signature in capitals', { signature: 'A'.repeat(64) }],
    ['a short signature', { signature: 'a'.repeat(63) }],
    ['a signature with more behind it', { signature: `${'a'.repeat(64)}\n` }],
    ['a date of another form', { date: '2026-11-24T12:00:00Z' }],
  ])('refuses %s', (_name, more) => {
    expect(SIGV4_PROOF.safeParse({ ...GOOD, ...more }).success).toBe(false)
  })

  test('takes the good one', () => {
    expect(SIGV4_PROOF.parse(GOOD)).toEqual(GOOD)
  })
})

describe('buildSignedRequest', () => {
  test('gives the request of design §5.4, and nothing else', () => {
    const request = buildSignedRequest(GOOD, VALUES)
    expect(request).toEqual({
      host: 'sts.eu-west-1.amazonaws.com',
      body: 'Action=GetCallerIdentity&Version=2011-06-15',
      headers: {
        accept: 'application/json',
        authorization: `AWS4-HMAC-SHA256 Credential=ASIAAAAAAAAAAAAAAAAA/20261124/eu-west-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-sallyport-audience;x-sallyport-key, Signature=${'a'.repeat(64)}`,
        'content-length': '43',
        'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
        host: 'sts.eu-west-1.amazonaws.com',
        'x-amz-date': '20261124T120000Z',
        'x-amz-security-token': 'token',
        'x-sallyport-audience': 'https://identity.example.org',
        'x-sallyport-key': VALUES.binding,
      },
    })
  })

  test('signs what the caller says his library signs too', () => {
    const request = buildSignedRequest(
      { ...GOOD, signed: ['x-amz-content-sha256', 'content-length'] },
      VALUES,
    )
    expect(request?.headers.authorization).toContain(
      'SignedHeaders=content-length;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;',
    )
  })

  test('attack 1: any fields that pass the schema give this method, path and body, and only known header names', () => {
    const fields = fc.record({
      accessKeyId: fc.stringMatching(/^(?:AKIA|ASIA)[A-Z0-9]{16}$/),
      sessionToken: fc.stringMatching(/^[!-~]{1,80}$/),
      region: fc.constantFrom('eu-west-1', 'us-gov-west-1', 'cn-north-1'),
      date: fc.stringMatching(/^\d{8}T\d{6}Z$/),
      signature: fc.stringMatching(/^[0-9a-f]{64}$/),
    })
    fc.assert(
      fc.property(fields, (found) => {
        const request = buildSignedRequest(SIGV4_PROOF.parse(found), VALUES)
        if (request === null) throw new Error('no host')
        expect(request.body).toBe(CALL_BODY)
        expect(Object.keys(request.headers).sort()).toEqual([
          'accept',
          'authorization',
          'content-length',
          'content-type',
          'host',
          'x-amz-date',
          'x-amz-security-token',
          'x-sallyport-audience',
          'x-sallyport-key',
        ])
        for (const value of Object.values(request.headers)) expect(value).toMatch(/^[\x20-\x7e]+$/)
      }),
    )
  })
})
