// The tables of docs/performance.md, and how they get into it.
import { describe, expect, test } from 'vitest'
import { replaceBetweenMarkers } from '../../../../scripts/bench/page.ts'
import type { Measured } from '../../../../scripts/bench/rounds.ts'
import { compare, comparisonTable, digits, growthTable } from '../../../../scripts/bench/table.ts'

const all = (own: number, haproxy: number, nginx: number) => ({
  Sallyport: [own, own],
  HAProxy: [haproxy, haproxy],
  nginx: [nginx, nginx],
})

const measured: Measured = {
  download: all(1.05, 1, 2),
  upload: all(1, 2, 1),
  session: all(2.4, 2.5, 2),
  originate: { Sallyport: [1, 1] },
  passthrough: { Sallyport: [0.7, 0.7] },
  memory: all(100, 50, 80),
  median: all(0.5, 0.4, 0.45),
  p99: all(1, 1, 1),
}

test('what the peers cannot do is compared with the full handshake of nginx', () => {
  expect(compare(measured, 'passthrough')).toEqual({ to: 'nginx', min: 0.35, median: 0.35, max: 0.35 })
  expect(compare(measured, 'originate')).toMatchObject({ to: 'nginx', median: 0.5 })
  expect(compare(measured, 'session')).toMatchObject({ to: 'nginx', median: 1.2 })
  expect(compare(measured, 'download')).toMatchObject({ to: 'HAProxy', median: 1.05 })
})

test('the table has a row for each measure, with min, median and max, the ratio and the aim', () => {
  const lines = comparisonTable(measured).split('\n')
  expect(lines).toHaveLength(2 + 8)
  expect(new Set(lines.map((line) => line.length)).size).toBe(1)
  const cells = (lines[2] ?? '').split('|').map((cell) => cell.trim())
  expect(cells.slice(1, -1)).toEqual([
    'CPU per GiB, towards the client, s',
    '1.05 / **1.05** / 1.05',
    '1.00 / **1.00** / 1.00',
    '2.00 / **2.00** / 2.00',
    '1.05 / **1.05** / 1.05 (HAProxy)',
    '1.05',
  ])
})

test('the table of growth has a column for each step, and nothing where nothing was measured', () => {
  const table = growthTable([
    { with: '100 live sessions', figures: { download: 1.5, memory: 90 }, idleCpu: 3 },
    { with: '10 policies', figures: { download: 1.6 }, idleCpu: 2 },
  ])
  const rows = table.split('\n').map((line) =>
    line
      .split('|')
      .map((cell) => cell.trim())
      .slice(1, -1),
  )
  expect(rows[0]).toEqual(['', '100 live sessions', '10 policies'])
  expect(rows).toContainEqual(['CPU per GiB, towards the client, s', '1.50', '1.60'])
  expect(rows).toContainEqual(['resident memory per idle session, KiB', '90.0', ''])
  expect(rows).toContainEqual(['CPU when idle, ms/s', '3.00', '2.00'])
})

test.each([
  [0.004, '0.00'],
  [9.876, '9.88'],
  [98.76, '98.8'],
  [987.6, '988'],
])('%d is written %s', (value, text) => {
  expect(digits(value)).toBe(text)
})

describe('the page', () => {
  const begin = '<!-- npm run bench -- --write: begin -->'
  const end = '<!-- npm run bench -- --write: end -->'

  test('keeps all that stands outside the markers', () => {
    const page = `# Title\n\n${begin}\nold\n${end}\n\nmore\n`
    const once = replaceBetweenMarkers(page, 'new')
    expect(once).toBe(`# Title\n\n${begin}\n\nnew\n\n${end}\n\nmore\n`)
    expect(replaceBetweenMarkers(once, 'new')).toBe(once)
  })

  test.each([
    ['has none', 'text'],
    ['has one alone', `${begin} text`],
    ['has them the other way round', `${end} ${begin}`],
    ['has them twice', `${begin}${end}${begin}${end}`],
  ])('that %s is an error', (_name, page) => {
    expect(() => replaceBetweenMarkers(page, 'new')).toThrow('the page must have')
  })
})
