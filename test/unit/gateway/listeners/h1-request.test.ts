import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_REQUEST_BYTES, readH1Request } from '../../../../gateway/listeners/h1-request.ts'

const TARGET = 'partner.test:443'

function read(text: string) {
  return readH1Request(Buffer.from(text, 'latin1'))
}

describe('an HTTP/1 CONNECT request', () => {
  test('is read with what follows it', () => {
    const result = read(`CONNECT ${TARGET} HTTP/1.1\r\nHost: ${TARGET}\r\nUser-Agent: x\r\n\r\nrest`)
    expect(result).toEqual({
      kind: 'request',
      request: { version: '1.1', host: 'partner.test', port: 443, proxyAuthorization: null },
      rest: Buffer.from('rest'),
    })
  })

  test('may name an IPv6 address in brackets', () => {
    const result = read('CONNECT [2001:DB8::1]:5432 HTTP/1.1\r\nHost: [2001:db8:0::1]:5432\r\n\r\n')
    expect(result).toMatchObject({ kind: 'request', request: { host: '2001:db8::1', port: 5432 } })
  })

  test('with an IPv6 address must have the brackets in Host too', () => {
    const result = read('CONNECT [::1]:443 HTTP/1.1\r\nHost: ::1:443\r\n\r\n')
    expect(result).toMatchObject({ kind: 'refused', code: 'request-host-mismatch' })
  })

  test.for([' \t', '\t\t ', ''])('is read without the blanks around a value, here %j', (blanks) => {
    const result = read(`CONNECT ${TARGET} HTTP/1.1\r\nHost:${blanks}${TARGET}${blanks}\r\n\r\n`)
    expect(result).toMatchObject({ kind: 'request', request: { host: 'partner.test', port: 443 } })
  })

  test.for<[string, string, string]>([
    ['white space before a colon', `Host : ${TARGET}`, 'request-malformed'],
    ['a folded line', `Host: ${TARGET}\r\n folded`, 'request-malformed'],
    ['a NUL in a value', `Host: ${TARGET}\r\nX: a\0b`, 'request-malformed'],
    ['a bare CR in a value', `Host: ${TARGET}\r\nX: a\rb`, 'request-malformed'],
    ['a line without colon', `Host: ${TARGET}\r\nnonsense`, 'request-malformed'],
    ['two Hosts of different case', `Host: ${TARGET}\r\nHOST: ${TARGET}`, 'request-host-missing'],
    ['a Host with another port', 'Host: partner.test:444', 'request-host-mismatch'],
    ['an empty Host', 'Host:', 'request-host-mismatch'],
    ['a Host of blanks', 'Host: \t ', 'request-host-mismatch'],
    [
      'two credentials',
      `Host: ${TARGET}\r\nProxy-Authorization: Bearer a\r\nproxy-authorization: Bearer b`,
      'request-malformed',
    ],
    ['a hundred and one fields', `Host: ${TARGET}${'\r\nX: y'.repeat(100)}`, 'request-malformed'],
    ['Transfer-Encoding in any case', `Host: ${TARGET}\r\ntransfer-ENCODING: identity`, 'request-body'],
    ['a Content-Length that is not 0', `Host: ${TARGET}\r\nContent-Length: 00`, 'request-body'],
    ['a negative Content-Length', `Host: ${TARGET}\r\nContent-Length: -1`, 'request-body'],
  ])('with %s is refused', ([, fields, code]) => {
    expect(read(`CONNECT ${TARGET} HTTP/1.1\r\n${fields}\r\n\r\n`)).toMatchObject({ kind: 'refused', code })
  })

  test('may have a hundred fields', () => {
    const fields = `Host: ${TARGET}${'\r\nX: y'.repeat(99)}`
    expect(read(`CONNECT ${TARGET} HTTP/1.1\r\n${fields}\r\n\r\n`).kind).toBe('request')
  })

  test('may carry Content-Length: 0', () => {
    expect(read(`CONNECT ${TARGET} HTTP/1.1\r\nHost: ${TARGET}\r\nContent-Length: 0\r\n\r\n`).kind).toBe(
      'request',
    )
  })

  test('is refused beyond its size, complete or not', () => {
    const padding = 'x'.repeat(MAX_REQUEST_BYTES)
    expect(read(`CONNECT ${TARGET} HTTP/1.1\r\nX: ${padding}`)).toMatchObject({ code: 'request-too-large' })
    expect(read(`CONNECT ${TARGET} HTTP/1.1\r\nX: ${padding}\r\n\r\n`)).toMatchObject({
      code: 'request-too-large',
    })
  })

  test('every prefix is incomplete until it is decided, and then the verdict never changes', () => {
    const soup = fc.array(
      fc.constantFrom(
        'CONNECT ',
        'GET ',
        TARGET,
        ' HTTP/1.1',
        ' HTTP/1.0',
        '\r\n',
        '\n',
        'Host: ',
        'X: y',
        '\0',
        ' ',
        ':',
      ),
      { maxLength: 40 },
    )
    const valid = fc.constant([`CONNECT ${TARGET} HTTP/1.1\r\nHost: ${TARGET}\r\n\r\n`, 'tunnel bytes'])
    fc.assert(
      fc.property(fc.oneof(soup, valid), (parts) => {
        const bytes = Buffer.from(parts.join(''), 'latin1')
        let decided: unknown = null
        for (let length = 0; length <= bytes.length; length += 1) {
          const result = readH1Request(bytes.subarray(0, length))
          const verdict = result.kind === 'request' ? result.request : result
          if (result.kind === 'incomplete') expect(decided).toBeNull()
          else if (decided === null) decided = verdict
          else expect(verdict).toEqual(decided)
          if (result.kind === 'request')
            expect(result.rest).toEqual(bytes.subarray(length - result.rest.length, length))
        }
      }),
    )
  })

  test('no bytes make it throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        expect(() => readH1Request(Buffer.from(bytes))).not.toThrow()
      }),
    )
  })
})
