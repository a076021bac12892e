// Each known attack on an issuer of identities has a test that carries its number, or a reason in SECURITY.md why it does
// not apply. This keeps that list whole.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const COUNT = 54

async function testedNumbers(): Promise<Set<number>> {
  const files = await readdir(path.join(ROOT, 'test'), { recursive: true })
  const numbers = new Set<number>()
  for (const file of files.filter((name) => name.endsWith('.test.ts') && !name.endsWith('attacks.test.ts'))) {
    const text = await readFile(path.join(ROOT, 'test', file), 'utf8')
    // In the name of a test, not in a comment.
    for (const [, list = ''] of text.matchAll(/['"`]attacks? ([0-9, ]+):/g)) {
      for (const number of list.split(',')) numbers.add(Number(number))
    }
  }
  return numbers
}

/** The rows of the table "Attacks that do not apply". */
async function excusedNumbers(): Promise<Set<number>> {
  const security = await readFile(path.join(ROOT, 'SECURITY.md'), 'utf8')
  const [, table = ''] = security.split('## Attacks that do not apply')
  return new Set(
    [...(table.split('\n## ')[0] ?? '').matchAll(/^\| (\d+) +\|/gm)].map(([, number]) => Number(number)),
  )
}

test('every number from 1 to 54 is in the name of a test, or excused in SECURITY.md', async () => {
  const tested = await testedNumbers()
  const excused = await excusedNumbers()
  const missing = Array.from({ length: COUNT }, (_, index) => index + 1).filter(
    (number) => !tested.has(number) && !excused.has(number),
  )
  expect(missing).toEqual([])
  expect([...excused].filter((number) => tested.has(number))).toEqual([])
})
