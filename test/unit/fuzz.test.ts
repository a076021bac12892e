// The fuzzer itself: that it finds what is broken, says how to see it again, and that its targets hold for a few seeds.
import { describe, expect, test } from 'vitest'
import { mutate } from '../fuzz/mutate.ts'
import { Random } from '../fuzz/random.ts'
import { runTarget } from '../fuzz/run.ts'
import { attempt, checkPrefixes, type FuzzTarget, segments } from '../fuzz/target.ts'
import { targets } from '../fuzz/targets.ts'

const runs = (most: number) => (done: number) => done < most
const target = (check: FuzzTarget['check']): FuzzTarget => ({
  name: 'test',
  samples: [Buffer.from('abcdefgh'), Buffer.alloc(300, 1)],
  check,
})

describe('each target', () => {
  test.each(targets.map((each) => [each.name, each] as const))(
    '%s takes its samples, whole',
    async (_, each) => {
      for (const sample of each.samples) await each.check(sample, new Random(1))
    },
  )

  test.each(targets.map((each) => [each.name, each] as const))('%s holds for 150 seeds', async (_, each) => {
    // Time is for `npm run fuzz`: a test asserts none.
    const outcome = await runTarget(each, { seed: 1, goOn: runs(150), maxInputMs: Number.POSITIVE_INFINITY })
    expect(outcome).toEqual({ runs: 150, failure: null })
  })

  test('has a name of its own', () => {
    expect(new Set(targets.map(({ name }) => name)).size).toBe(targets.length)
  })
})

describe('a run', () => {
  const fragile = target((input) => {
    if (input.includes(0xff)) throw new TypeError('cannot take ff')
  })

  test('ends at the first input that throws, and its seed brings it back at once', async () => {
    const first = await runTarget(fragile, { seed: 5, goOn: runs(10_000) })
    expect(first.failure?.reason).toContain('TypeError: cannot take ff')
    const again = await runTarget(fragile, { seed: first.failure?.seed ?? 0, goOn: runs(1) })
    expect(again.failure).toMatchObject({ seed: first.failure?.seed, input: first.failure?.input })
  })

  test('sees a promise that rejects', async () => {
    const outcome = await runTarget(
      target(async () => {
        await Promise.reject(new Error('later'))
      }),
      { seed: 1, goOn: runs(1) },
    )
    expect(outcome.failure?.reason).toContain('later')
  })

  test('sees an input that takes too long', async () => {
    const outcome = await runTarget(
      target(() => {}),
      { seed: 1, goOn: runs(1), maxInputMs: -1 },
    )
    expect(outcome.failure?.reason).toMatch(/^took \d+ ms/)
  })

  test('tells of each input before it is tried', async () => {
    const told: number[] = []
    await runTarget(fragile, { seed: 7, goOn: runs(3), onInput: (_, seed) => told.push(seed) })
    expect(told.slice(0, 1)).toEqual([7])
  })
})

describe('the checks', () => {
  const random = () => new Random(3)

  test('an answer that changes is seen', () => {
    expect(() => checkPrefixes(new Uint8Array(40), random(), (prefix) => prefix.length || null)).toThrow(
      'has changed',
    )
  })

  test('an answer that is taken back is seen', () => {
    const ask = (prefix: Uint8Array) => (prefix.length > 2 && prefix.length < 20 ? 'done' : null)
    expect(() => checkPrefixes(new Uint8Array(40), random(), ask)).toThrow('open again')
  })

  test('an error of another class is not swallowed', () => {
    const fail = () => {
      throw new RangeError('x')
    }
    expect(attempt(fail, RangeError)).toBeNull()
    expect(() => attempt(fail, TypeError)).toThrow('x')
  })
})

describe('mutation', () => {
  const samples = [Buffer.from('abcdefgh'), Buffer.alloc(300, 1)] as const

  test('is the same for the same seed, and not for others', () => {
    const made = Array.from({ length: 500 }, (_, seed) =>
      Buffer.from(mutate(samples, new Random(seed))).toString('hex'),
    )
    expect(made).toEqual(
      Array.from({ length: 500 }, (_, seed) =>
        Buffer.from(mutate(samples, new Random(seed))).toString('hex'),
      ),
    )
    expect(new Set(made).size).toBeGreaterThan(300)
  })

  test('leaves the samples alone', () => {
    const before = samples.map((sample) => sample.toString('hex'))
    for (let seed = 0; seed < 500; seed += 1) mutate(samples, new Random(seed)).fill(0)
    expect(samples.map((sample) => sample.toString('hex'))).toEqual(before)
  })

  test('segments are all of the bytes, in order', () => {
    for (let seed = 0; seed < 100; seed += 1) {
      const bytes = new Random(seed).bytes(seed * 7)
      expect(Buffer.concat(segments(bytes, new Random(seed)))).toEqual(Buffer.from(bytes))
    }
  })
})
