import { expect, test } from 'vitest'
import { createCutting } from '../../../../gateway/sessions/cutting.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function scene(count: number) {
  const clock = { now: 0 }
  const cutting = createCutting({ monotonic: () => clock.now })
  const reset: number[] = []
  const ended: number[] = []
  for (let item = 0; item < count; item += 1) {
    const onReset = () => {
      clock.now += 0.5
      reset.push(item)
    }
    cutting.rest(onReset, () => {
      // In its turn, after its own service.
      expect(reset).toContain(item)
      ended.push(item)
    })
  }
  return { clock, reset, ended }
}

test('services are reset before what sessions leave behind is cleared away, each once and in order', async () => {
  const { reset, ended } = scene(100)
  expect(reset).toEqual([])
  const all = Array.from({ length: 100 }, (_, item) => item)
  for (let turns = 1; reset.length < 100; turns += 1) {
    await turn()
    expect(reset).toEqual(all.slice(0, turns * 16))
    expect(ended.length).toBeLessThanOrEqual(turns)
  }
  while (ended.length < 100) await turn()
  expect(ended).toEqual(all)
})

test('few services, but more than one, in a turn in which clients are being cut', async () => {
  const { clock, reset } = scene(100)
  for (let turns = 1; turns <= 20; turns += 1) {
    clock.now += 8
    await turn()
    expect(reset).toHaveLength(turns * 2)
  }
})

test('a service that cannot be reset, and an end that fails, keep no other session from its own', async () => {
  const told: string[] = []
  const cutting = createCutting({ onError: (error) => void told.push(String(error)) })
  const ended: number[] = []
  for (let item = 0; item < 5; item += 1) {
    cutting.rest(
      () => {
        if (item === 1) throw new Error('reset')
      },
      () => {
        if (item === 3) throw new Error('end')
        ended.push(item)
      },
    )
  }
  while (ended.length < 4) await turn()
  expect(ended).toEqual([0, 1, 2, 4])
  expect(told).toEqual(['Error: reset', 'Error: end'])
})
