// The CA document as text: what is not taken, and not written.
import { describe, expect, test } from 'vitest'
import {
  formatAuthorityDocument,
  parseAuthorityDocument,
} from '../../../../../lambdas/identity/authority/document.ts'
import { createClock, createDocument } from '../support.ts'

const LIMIT = 48 * 1024
const born = await createDocument(createClock().now())

describe('a document of', () => {
  const padTo = (bytes: number) => {
    const text = formatAuthorityDocument(born)
    return text + ' '.repeat(bytes - Buffer.byteLength(text))
  }

  test('48 KiB is read', () => {
    expect(parseAuthorityDocument(padTo(LIMIT))).toEqual(born)
  })

  test('a byte more is not, nor is one written', () => {
    const expected = { code: 'authority-malformed', message: 'the CA document is over 48 KiB' }
    expect(() => parseAuthorityDocument(padTo(LIMIT + 1))).toThrow(expect.objectContaining(expected))
    const chain = 'ä'.repeat(LIMIT / 2 - 100)
    const big = { ...born, issuing: { ...born.issuing, chain } }
    expect(() => formatAuthorityDocument(big)).toThrow(expect.objectContaining(expected))
  })
})

describe('a document with', () => {
  test.each<[string, object, boolean]>([
    ['the shortest refresh hint', { refreshHint: 150 }, true],
    ['a refresh hint too short for clocks and caches', { refreshHint: 149 }, false],
    ['a refresh hint over a day', { refreshHint: 86_401 }, false],
    ['the word of a request', { lastRequest: '2026-11-24T10:00:00+01:00' }, true],
    ['the word of a request with a space', { lastRequest: 'root jwt' }, false],
    ['a key that nobody knows', { more: 1 }, false],
  ])('%s', (_name, more, good) => {
    const text = JSON.stringify({ ...born, ...more })
    if (good) expect(parseAuthorityDocument(text)).toMatchObject(more)
    else expect(() => parseAuthorityDocument(text)).toThrow(/cannot be read/)
  })
})
