// The server's certificate is cut out of a session, and nothing else.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withoutPeer } from '../../../../gateway/upstream/session-der.ts'

const MARK = Buffer.from('\0nodejs:tls:session:1\0')

function element(tag: number, content: Uint8Array): Buffer {
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const digits = Buffer.from(length < 0x100 ? [length] : [length >> 8, length & 0xff])
  return Buffer.concat([Buffer.from([tag, 0x80 + digits.length]), digits, content])
}

/** Of OpenSSL's own tags, in its order: those before the certificate, [3], and those behind it. */
const content = fc.uint8Array({ maxLength: 700 })
const before = fc.tuple(fc.constantFrom(0x02, 0x04, 0xa1, 0xa2), content)
const behind = fc.tuple(fc.constantFrom(0xa4, 0xa5, 0xa6, 0xaa), content)
const elements = (list: readonly (readonly [number, Uint8Array])[]) =>
  list.map(([tag, bytes]) => element(tag, bytes))
const prefix = fc.option(fc.string({ maxLength: 20 }), { nil: null }).map((name) => {
  if (name === null) return Buffer.alloc(0)
  const bytes = Buffer.from(name)
  return Buffer.concat([MARK, Buffer.from([0, bytes.length]), bytes])
})

test('what is left of a session is all but [3], in its order, behind the mark of Node or without one', () => {
  fc.assert(
    fc.property(prefix, fc.array(before), content, fc.array(behind), (start, first, peer, rest) => {
      const others = [...elements(first), ...elements(rest)]
      const all = [...elements(first), element(0xa3, peer), ...elements(rest)]
      const session = Buffer.concat([start, element(0x30, Buffer.concat(all))])
      const expected = Buffer.concat([start, element(0x30, Buffer.concat(others))])
      expect(withoutPeer(session).equals(expected)).toBe(true)
      expect(withoutPeer(expected)).toBe(expected)
    }),
  )
})

test('what is no session stays as it is, and so does one that is cut short', () => {
  const session = element(
    0x30,
    Buffer.concat([element(0x02, Buffer.from([1])), element(0xa3, Buffer.alloc(300))]),
  )
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(session.length - 1), (bytes, length) => {
      const other = Buffer.from(bytes)
      expect(other[0] === 0x30 || withoutPeer(other) === other).toBe(true)
      const cut = session.subarray(0, length)
      expect(withoutPeer(cut)).toBe(cut)
      const later = Buffer.concat([Buffer.from('\0nodejs:tls:session:2\0'), session])
      expect(withoutPeer(later)).toBe(later)
    }),
  )
})
