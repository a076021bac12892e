import { expect, test } from 'vitest'
import { nearest } from '../../../common/nearest.ts'

test.each([
  ['prots', ['hosts', 'ports'], { word: 'ports', edits: 1 }],
  ['host', ['ports', 'hosts'], { word: 'hosts', edits: 1 }],
  ['idletimeout', ['idleTimeout', 'timeout'], { word: 'idleTimeout', edits: 0 }],
  ['client-certificates', ['clientCertificates'], { word: 'clientCertificates', edits: 1 }],
  ['', ['a', 'bc'], { word: 'a', edits: 1 }],
  ['kitten', ['sitting'], { word: 'sitting', edits: 3 }],
  ['same', ['name', 'same'], { word: 'same', edits: 0 }],
  ['anything', [], null],
])('of %j among %j is %j', (word, known, found) => {
  expect(nearest(word, known)).toEqual(found)
})

test('a very long word costs little', () => {
  expect(nearest('a'.repeat(1_000_000), ['abc'])).toEqual({ word: 'abc', edits: 63 })
})
