// The first bytes of a PostgreSQL client, as a pure judgement.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readPostgresStart } from '../../../../gateway/listeners/postgres-preamble.ts'
import { errorResponse } from '../../../../gateway/upstream/starttls/postgres/wire.ts'

const SSL = '0000000804d2162f'
const GSSENC = '0000000804d21630'

describe('the first bytes', () => {
  test.each<[string, string, string]>([
    ['TLS at once', '16', 'direct'],
    ['SSLRequest', SSL, 'ssl'],
    ['GSSENCRequest', GSSENC, 'gssenc'],
    ['seven bytes of SSLRequest', SSL.slice(0, 14), 'incomplete'],
    ['nothing', '', 'incomplete'],
    ['CancelRequest', '0000001004d2162e0000000100000002', 'cancel'],
    ['fifteen bytes of CancelRequest', '0000001004d2162e00000001000000', 'incomplete'],
    ['CancelRequest with a secret of three bytes', '0000000f04d2162e00000001000000', 'refused'],
    ['CancelRequest with a secret of 257 bytes', '0000010d04d2162e', 'refused'],
    ['StartupMessage of version 3.0', '0000001700030000', 'refused'],
    ['SSLRequest of another length', '0000000904d2162f00', 'refused'],
    ['HTTP', Buffer.from('GET / HT').toString('hex'), 'refused'],
  ])('%s', (_, hex, kind) => {
    expect(readPostgresStart(Buffer.from(hex, 'hex')).kind).toBe(kind)
  })

  test('a client without TLS is told so in the protocol, one that cancels wrongly is not', () => {
    const plain = readPostgresStart(Buffer.from('0000001700030000', 'hex'))
    const answer = plain.kind === 'refused' ? Buffer.from(plain.answer ?? []) : Buffer.alloc(0)
    expect(answer.toString('latin1')).toContain('sslmode=verify-full')
    const cancel = readPostgresStart(Buffer.from('0000000f04d2162e00000001000000', 'hex'))
    expect(cancel).toMatchObject({ kind: 'refused', answer: null })
  })

  test('once decided, more bytes change nothing', () => {
    const known = fc.constantFrom(SSL, GSSENC, '0000001004d2162e', '16')
    const start = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      known.map((hex) => Uint8Array.from(Buffer.from(hex, 'hex'))),
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 12 }), (first, more) => {
        const whole = Buffer.concat([first, more])
        let decided: string | null = null
        for (let length = 0; length <= whole.length; length += 1) {
          const { kind } = readPostgresStart(whole.subarray(0, length))
          if (decided === null && kind !== 'incomplete') decided = kind
          if (decided !== null) expect(kind).toBe(decided)
        }
        if (whole.length >= 16) expect(decided).not.toBeNull()
      }),
    )
  })
})

test('an ErrorResponse is one that clients read: type, length, fields of one letter, and a NUL in the end', () => {
  const response = errorResponse('28000', 'no TLS')
  expect(response[0]).toBe('E'.charCodeAt(0))
  expect(response.readUInt32BE(1)).toBe(response.length - 1)
  expect(response.subarray(5).toString('latin1')).toBe('SFATAL\0VFATAL\0C28000\0Mno TLS\0\0')
})
