import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DerError, readAll, readOne, TAG } from '../../../spiffe/der.ts'
import { der } from './certificates.ts'
import { errorOf } from './errors.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const zeros = (length: number) => Buffer.alloc(length)

describe('what is not DER', () => {
  const cases: Record<string, Buffer> = {
    'a tag without length': hex('30'),
    'content that is cut short': hex('04 02 00'),
    'a length that is cut short': hex('04 82 01'),
    'a second element that is cut short': hex('05 00 04 01'),
    'an indefinite length': hex('30 80 05 00 00 00'),
    'a length of four octets': Buffer.concat([hex('04 84 01 00 00 00'), zeros(0x1000000)]),
    'the reserved length octet ff': hex('04 ff'),
    'the long form for a length below 128': hex('04 81 01 00'),
    'the long form with a leading zero': Buffer.concat([hex('04 82 00 ff'), zeros(255)]),
    'three octets where two are enough': Buffer.concat([hex('04 83 00 ff ff'), zeros(65535)]),
    'a tag number above 30': hex('1f 1f 00'),
    'the same, as if it were an element of one octet': hex('1f 00'),
    'the same, context-specific': hex('bf 81 00 00'),
    '1001 elements': Buffer.concat(Array.from({ length: 1001 }, () => hex('05 00'))),
  }
  test.each(Object.entries(cases))('%s', (_, bytes) => {
    errorOf(() => readAll(bytes), DerError)
  })
})

describe('what is DER, at the edges of the length forms', () => {
  test.each([0, 1, 127, 128, 255, 256, 65535, 65536, 100_000])('%i octets of content', (length) => {
    expect(readAll(der(TAG.OCTET_STRING, zeros(length)))).toMatchObject([
      { tag: TAG.OCTET_STRING, content: zeros(length) },
    ])
  })

  test('1000 elements', () => {
    expect(readAll(Buffer.concat(Array.from({ length: 1000 }, () => hex('05 00'))))).toHaveLength(1000)
  })

  test('nothing is no element', () => {
    expect(readAll(zeros(0))).toEqual([])
  })
})

describe('readOne', () => {
  test('gives the content of the one element', () => {
    expect(readOne(hex('04 02 ab cd'), TAG.OCTET_STRING)).toEqual(hex('ab cd'))
  })

  const cases: Record<string, Buffer> = {
    nothing: zeros(0),
    'another tag': hex('05 00'),
    'two elements': hex('04 00 04 00'),
    'a byte behind the element': hex('04 00 00'),
  }
  test.each(Object.entries(cases))('refuses %s', (_, bytes) => {
    errorOf(() => readOne(bytes, TAG.OCTET_STRING), DerError)
  })
})

describe('properties', () => {
  const element = fc.record({
    tag: fc.integer({ min: 0, max: 255 }).filter((tag) => (tag & 0x1f) !== 0x1f),
    content: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  })

  test('elements come back as they were written', () => {
    fc.assert(
      fc.property(fc.array(element, { maxLength: 8 }), (elements) => {
        const bytes = Buffer.concat(elements.map(({ tag, content }) => der(tag, content)))
        expect(readAll(bytes)).toMatchObject(elements)
      }),
    )
  })

  test('bytes are read in one way or not at all: what is read is written back as the same bytes', () => {
    // Small lengths are likely to fit, so that many of these bytes are DER in part.
    const octet = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 255 }))
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(octet, { maxLength: 40 }).map((octets) => Uint8Array.from(octets)),
    )
    fc.assert(
      fc.property(bytes, (bytes) => {
        let elements: ReturnType<typeof readAll>
        try {
          elements = readAll(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(DerError)
          return
        }
        expect(Buffer.concat(elements.map(({ tag, content }) => der(tag, content)))).toEqual(
          Buffer.from(bytes),
        )
      }),
      { numRuns: 3000 },
    )
  })

  test('no prefix of an element is an element', () => {
    fc.assert(
      fc.property(element, fc.nat(), (element, cut) => {
        const whole = der(element.tag, element.content)
        const part = whole.subarray(0, cut % whole.length)
        if (part.length > 0) errorOf(() => readAll(part), DerError)
      }),
    )
  })
})
