// `npm run bench -- --quick`: that everything which docs/performance.md rests on can still be measured.
import { readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { findPrograms } from '../../scripts/bench/programs.ts'
import { run } from '../fixtures/process.ts'
import { REPOSITORY } from '../fixtures/sallyport.ts'

const BENCH = path.join(REPOSITORY, 'scripts/bench.ts')

test('measures Sallyport, HAProxy and nginx on every job', { timeout: 600_000 }, async () => {
  const json = path.join(os.tmpdir(), `sallyport-bench-${process.pid}.json`)
  try {
    const ran = await run(process.execPath, [BENCH, '--quick', '--json', json])
    expect(ran.code, ran.stderr).toBe(0)
    const { measured, growth } = JSON.parse(await readFile(json, 'utf8'))
    const products = (measure: string) => Object.keys(measured[measure]).toSorted()
    for (const measure of ['download', 'upload', 'session', 'memory', 'median', 'p99'])
      expect(products(measure), measure).toEqual(['HAProxy', 'Sallyport', 'nginx'])
    for (const measure of ['originate', 'passthrough']) expect(products(measure)).toEqual(['Sallyport'])
    for (const product of ['HAProxy', 'Sallyport', 'nginx'])
      expect(measured.download[product][0], product).toBeGreaterThan(0)
    expect(growth).toHaveLength(2)
    expect(ran.stdout).toContain('ratio to the better peer')
  } finally {
    await rm(json, { force: true })
  }
})

test('says what is missing, and how to get it', async () => {
  await expect(findPrograms(['/nowhere'])).rejects.toThrow('apt-get install haproxy nginx-light')
})

test.each([['--write', '--quick'], ['--fast']])('does not take %s', async (...args) => {
  const ran = await run(process.execPath, [BENCH, ...args])
  expect(ran.code).toBe(2)
  expect(ran.stderr).toContain('usage: npm run bench')
})
