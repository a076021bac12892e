import { expect, test } from 'vitest'
import { createYoungCollector } from '../../../../gateway/sessions/young-collector.ts'

const MIB = 1024 * 1024
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('collects after each 32 MiB, and in a turn of its own', async () => {
  let collected = 0
  const collector = createYoungCollector(() => {
    collected += 1
  })
  for (let chunk = 0; chunk < 31; chunk++) collector.left(MIB)
  await turn()
  expect(collected).toBe(0)
  collector.left(MIB)
  expect(collected).toBe(0)
  await turn()
  expect(collected).toBe(1)
  for (let chunk = 0; chunk < 64; chunk++) {
    collector.left(MIB)
    await turn()
  }
  expect(collected).toBe(3)
})

test('does nothing where Node was started without a way to collect', () => {
  expect(() => createYoungCollector(undefined).left(1024 * MIB)).not.toThrow()
})
