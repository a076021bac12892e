import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { affordableConnections } from '../../../../../gateway/listeners/arrival/open-files.ts'

async function withLimits(text: string): Promise<number> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-limits-'))
  try {
    const file = path.join(directory, 'limits')
    await writeFile(file, text)
    return await affordableConnections(file)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const proc = (
  soft: string,
  hard: string,
) => `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            ${soft.padEnd(21)}${hard.padEnd(21)}files
Max locked memory         8388608              8388608              bytes
`

test.each<[string, string, number]>([
  ['1024', '524288', 488],
  // Fargate's own.
  ['65535', '65535', 32_743],
  ['1048576', '1048576', 524_264],
  // It could serve nobody, and whoever comes second is told so.
  ['16', '16', 1],
  ['unlimited', 'unlimited', Number.POSITIVE_INFINITY],
])('a soft limit of %s (hard %s) is %d connections', async (soft, hard, connections) => {
  expect(await withLimits(proc(soft, hard))).toBe(connections)
})

test('where there is no telling there is no limit', async () => {
  expect(await withLimits('something else')).toBe(Number.POSITIVE_INFINITY)
  expect(await affordableConnections('/nowhere/limits')).toBe(Number.POSITIVE_INFINITY)
})
