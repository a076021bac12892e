// docs/addresses.md against the table that the gateway judges by.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { ADDRESS_CLASSES, SPECIAL_RANGES } from '../../../gateway/upstream/special-ranges.ts'

const page = await readFile(path.join(import.meta.dirname, '../../../docs/addresses.md'), 'utf8')

test.each(ADDRESS_CLASSES.filter((found) => found !== 'public'))('%s is there with its code', (found) => {
  expect(page).toMatch(new RegExp(`^\\| \`${found}\`\\s+\\| \`address-${found}\``, 'm'))
})

test.each(
  SPECIAL_RANGES.filter(({ found }) => !['public', 'reserved', 'embedded'].includes(found)).map(({ range }) =>
    range.replace(/\/(?:32|128)$/, (end) => (range === 'fd00:ec2::/32' ? end : '')),
  ),
)('%s is there', (range) => {
  expect(page).toContain(range)
})
