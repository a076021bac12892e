import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../../../gateway/listeners/crc32c.ts'
import { bitwiseCrc32c } from '../../../fixtures/proxy-header.ts'

describe('CRC32C', () => {
  /** RFC 3720 §B.4, and the check value that catalogues of CRCs give for "123456789". */
  test.for<[string, Uint8Array, number]>([
    ['nothing', new Uint8Array(0), 0],
    ['123456789', Buffer.from('123456789'), 0xe3069283],
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ['31 to 0', Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  ])('of %s is the published one', ([, bytes, expected]) => {
    expect(crc32c(bytes)).toBe(expected)
    expect(bitwiseCrc32c(bytes)).toBe(expected)
  })

  test('of parts in turn is that of the whole, and that of its definition', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }), (first, second) => {
        const whole = Buffer.concat([first, second])
        expect(crc32c(second, crc32c(first))).toBe(crc32c(whole))
        expect(crc32c(whole)).toBe(bitwiseCrc32c(whole))
      }),
    )
  })
})
