import { describe, expect, test } from 'vitest'
import { isConcealed, refusalFor } from '../../../../gateway/audit/answer.ts'
import { isDisclosed, isReasonCode, REASONS } from '../../../../gateway/audit/reasons.ts'

const CODES = Object.keys(REASONS).filter(isReasonCode)
const ID = '01K0000000000000000000000A'

describe('refusalFor', () => {
  test('a disclosed code is in the body and in Proxy-Status', () => {
    expect(refusalFor('client-certificate-expired', ID)).toEqual({
      status: 403,
      headers: {
        'content-type': 'application/problem+json',
        'cache-control': 'no-store',
        'proxy-status': 'sallyport; error=http_request_denied; details="client-certificate-expired"',
      },
      body: `{"title":"Forbidden","status":403,"session":"${ID}","code":"client-certificate-expired"}\n`,
    })
  })

  test('a concealed one is nowhere', () => {
    expect(refusalFor('policy-denied', ID)).toEqual({
      status: 403,
      headers: {
        'content-type': 'application/problem+json',
        'cache-control': 'no-store',
        'proxy-status': 'sallyport; error=http_request_denied',
      },
      body: `{"title":"Forbidden","status":403,"session":"${ID}"}\n`,
    })
  })

  const concealed = CODES.filter((code) => /^(destination|policy|address|revoked)-/.test(code))
  test('there are concealed codes', () => {
    expect(concealed.length).toBeGreaterThan(8)
  })
  test.each(concealed)('%s is answered byte for byte like policy-denied', (code) => {
    expect(isConcealed(code)).toBe(true)
    expect(JSON.stringify(refusalFor(code, ID))).toBe(JSON.stringify(refusalFor('policy-denied', ID)))
    // The session id has one length, so not even the length of an answer tells.
    const other = refusalFor(code, '01K0000000000000000000000Z')
    expect(other.body.replace('01K0000000000000000000000Z', ID)).toBe(refusalFor('policy-denied', ID).body)
  })

  test.each(CODES)('%s: the session id always, the code only where it may be told', (code) => {
    const { status, headers, body } = refusalFor(code, ID)
    const text = JSON.stringify({ headers, body })
    expect(JSON.parse(body)).toMatchObject({ session: ID, status })
    // `closed` and `request-version` are told apart from words by their place, so the whole code is looked for.
    expect(text.includes(`"${code}"`) || text.includes(`\\"${code}\\"`)).toBe(isDisclosed(code))
    expect(status).toBeGreaterThanOrEqual(400)
    expect(headers['proxy-status']).toMatch(/^sallyport; error=[a-z_]+(; details="[a-z0-9-]+")?$/)
    expect(REASONS[code].hint === null || !text.includes(REASONS[code].hint)).toBe(true)
  })

  test('a 405 says what is allowed', () => {
    expect(refusalFor('request-method', ID)).toMatchObject({ status: 405, headers: { allow: 'CONNECT' } })
  })

  test('a code without an answer of its own answers like a fault of the gateway', () => {
    expect(refusalFor('relay-client-reset', ID)).toMatchObject({
      status: 500,
      headers: { 'proxy-status': 'sallyport; error=proxy_internal_error' },
    })
  })
})
