// The short form of `npm run chaos`: a fixed seed and small numbers; the same checks.
import { expect, test } from 'vitest'
import { CHANGES } from '../../chaos/plan.ts'
import { runChaos } from '../../chaos/run.ts'

const SEED = 6

test('under chaos every byte, record, gauge and MiB is accounted for', { timeout: 240_000 }, async () => {
  const said: string[] = []
  const { faults, last, sessions, changes, codes } = await runChaos({
    ...{ seed: SEED, rounds: 1, roundMs: 5_000, everyMs: 60, changeEveryMs: 700 },
    say: (line) => void said.push(line),
  })
  expect(faults, [`seed ${SEED}`, ...faults, ...said, 'the last operations:', ...last].join('\n')).toEqual([])
  // It did what it is there for.
  expect(sessions).toBeGreaterThan(100)
  expect(Object.keys(changes).toSorted()).toEqual([...CHANGES].toSorted())
  expect(codes).toMatchObject({
    ...{ closed: expect.any(Number), 'relay-client-reset': expect.any(Number) },
    ...{ 'relay-upstream-reset': expect.any(Number), 'session-drained': expect.any(Number) },
  })
})
