// The CA over time as a model: the real planner, the real steps and the real cache over a strict Secrets Manager, with
// fake keys, a fake clock, and random interleavings of rotations that die, come late, meet each other or are asked for by
// hand, root keys that are out of reach, clocks that differ by up to 30 s, instances whose reads fail, and verifiers
// whose bundles are up to three refresh hints old (attack 49). Three promises are checked all the time:
//   1. nothing is signed by a key that such a verifier does not have;
//   2. nothing that is valid is orphaned: its key is published until it ends, and an hour more;
//   3. no reader sees the sequence go back, and one sequence is one set of keys.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ROOT_LIFE } from './model-ca.ts'
import { type Conditions, World } from './model-world.ts'
import { DAY, HOUR, MINUTE } from './support.ts'

interface Days {
  readonly kind: 'days'
  readonly count: number
  /** A bit for each instance that can read. */
  readonly readers: number
  /** Between a reading and the next. */
  readonly ms: number
  /** How many more rotations come right after the day's. */
  readonly again: number
}

type KeyCommand =
  | { readonly kind: 'withdraw'; readonly root: number }
  | { readonly kind: 'restore' | 'spare' | 'broken' }

type Command =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'begin' | 'force' }
  | KeyCommand
  | Days
  | { readonly kind: 'step'; readonly index: number; readonly killAt: number }
  | { readonly kind: 'sign' | 'fail' | 'swap'; readonly index: number }
  | { readonly kind: 'read'; readonly index: number; readonly reader: number }
  | { readonly kind: 'hand'; readonly what: string; readonly times: number; readonly ms: number }

/** A day with one rotation from end to end. Instances that cannot read go on with the document that they have. */
async function passDay(world: World, { readers, ms, again }: Days): Promise<void> {
  world.now += DAY
  world.expectNoOrphans()
  for (let round = 0; round <= again; round++) {
    await world.rotate()
    world.now += round === again ? 0 : 5 * MINUTE
  }
  for (const wait of [0, ms]) {
    world.now += wait
    for (const [number, one] of world.instances.entries()) {
      one.failing = (readers & (1 << number)) === 0
      await world.sign(one)
      for (const reader of world.readers) await world.read(reader, one)
    }
    world.expectNoOrphans()
  }
}

/** An operator rotates, and once more at once or a little later. */
async function byHand(world: World, what: string, times: number, ms: number): Promise<void> {
  for (let round = 0; round < times; round++) {
    world.ask(what)
    await world.rotate()
    world.now += ms
    for (const one of world.instances) await world.sign(one)
  }
}

function changeKeys(world: World, command: KeyCommand): void {
  const { rootKeys } = world
  switch (command.kind) {
    case 'withdraw': {
      const roots = world.current()?.roots ?? []
      const root = roots[command.root % Math.max(1, roots.length)]
      if (root !== undefined) rootKeys.withdrawn.add(root.key)
      break
    }
    case 'spare':
      rootKeys.roomy = !rootKeys.roomy
      break
    case 'broken':
      rootKeys.broken = !rootKeys.broken
      break
    case 'restore':
      rootKeys.withdrawn.clear()
      Object.assign(rootKeys, { roomy: true, broken: false })
  }
}

async function run(world: World, command: Command): Promise<void> {
  const instance = 'index' in command ? world.instances[command.index] : undefined
  switch (command.kind) {
    case 'wait':
      world.now += command.ms
      world.expectNoOrphans()
      break
    case 'begin':
      world.begin()
      break
    case 'force':
      world.force()
      break
    case 'swap':
      world.swap(command.index)
      break
    case 'days':
      for (let day = 0; day < command.count; day++) await passDay(world, command)
      break
    case 'step':
      await world.step(command.index, command.killAt)
      break
    case 'read': {
      const reader = world.readers[command.reader]
      if (instance !== undefined && reader !== undefined) await world.read(reader, instance)
      break
    }
    case 'sign':
      if (instance !== undefined) await world.sign(instance)
      break
    case 'fail':
      if (instance !== undefined) instance.failing = !instance.failing
      break
    case 'hand':
      await byHand(world, command.what, command.times, command.ms)
      break
    case 'withdraw':
    case 'restore':
    case 'spare':
    case 'broken':
      changeKeys(world, command)
  }
}

const index = fc.nat(2)
const kind = <Kind extends string>(name: Kind) => fc.constant(name)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('wait'), ms: fc.integer({ min: 1000, max: 20 * MINUTE }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('wait'), ms: fc.integer({ min: HOUR, max: 3 * DAY }) }) },
  { weight: 2, arbitrary: fc.constantFrom<Command>({ kind: 'begin' }, { kind: 'begin' }, { kind: 'force' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('days'),
      count: fc.integer({ min: 1, max: 14 }),
      readers: fc.nat(7),
      again: fc.nat(1),
      ms: fc.integer({ min: 0, max: 2 * HOUR }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: kind('step'), index, killAt: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('read'), index, reader: fc.nat(1) }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('sign'), index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('fail', 'swap'), index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('hand'),
      what: fc.constantFrom('issuing', 'root', 'jwt', 'issuing root jwt'),
      times: fc.integer({ min: 1, max: 2 }),
      ms: fc.oneof(fc.integer({ min: 0, max: MINUTE }), fc.integer({ min: MINUTE, max: 40 * MINUTE })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('withdraw'), root: index }) },
  { weight: 1, arbitrary: fc.constantFrom<Command>({ kind: 'spare' }, { kind: 'broken' }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('restore') }) },
)

/** Any two clocks differ by 30 s at most. */
const skew = fc.integer({ min: -15_000, max: 15_000 })
const conditions: fc.Arbitrary<Conditions> = fc.record({
  keys: fc.constantFrom('files', 'kms'),
  // Short-lived roots bring their succession, which takes nine years otherwise, into reach.
  rootLife: fc.constantFrom(ROOT_LIFE, 365 * DAY + 20 * DAY),
  rotationSkew: skew,
  skews: fc.tuple(skew, skew, skew),
})

test('attack 49: whatever happens in whatever order, the three promises hold', {
  timeout: 90_000,
}, async () => {
  const total = { signatures: 0, rotations: 0, blocked: 0, refusals: 0, sets: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 40, maxLength: 120, size: 'max' }),
      conditions,
      async (commands, under) => {
        const world = new World(under)
        for (const one of commands) await run(world, one)
        for (const [name, count] of Object.entries(world.counts)) total[name as keyof typeof total] += count
        total.sets += new Set(world.history.map(({ sequence }) => sequence)).size
      },
    ),
    // Shrinking a history of months takes longer than reading it.
    { numRuns: 100, endOnFailure: true },
  )
  // The model is worth something only where things happen in it.
  expect(total.signatures).toBeGreaterThan(1000)
  expect(total.rotations).toBeGreaterThan(1000)
  expect(total.sets).toBeGreaterThan(300)
  expect(total.blocked).toBeGreaterThan(100)
  expect(total.refusals).toBeGreaterThan(100)
})

/** Seconds and minutes that chance seldom meets: all that is allowed to go wrong does, at its worst moment. */
test('attack 49: a late rotation, an instance that reads nothing more, and clocks that differ, all at once', async () => {
  const slow: Conditions = {
    keys: 'files',
    rootLife: ROOT_LIFE,
    rotationSkew: -15_000,
    skews: [15_000, -15_000],
  }
  let finished = 0
  for (let late = 0; late <= 5 * MINUTE; late += 30_000) {
    const world = new World(slow)
    const [signer, deaf] = world.instances
    const [reader] = world.readers
    if (signer === undefined || deaf === undefined || reader === undefined) throw new Error('nobody is there')
    await world.rotate()
    world.now += DAY
    world.ask('issuing root jwt')
    world.begin()
    for (let step = 0; step < 3; step++) await world.step(0, 0)
    world.now += late
    // It reads what is current a moment before that changes, and never again.
    await world.read(reader, deaf)
    deaf.failing = true
    await world.step(0, 0)
    if (world.history.length === 1) continue
    finished += 1
    for (let second = 0; second < 40 * MINUTE; second += 5000) {
      world.now += 5000
      await world.read(reader, deaf)
      await world.sign(signer)
      if (second % (5 * MINUTE) === 0) await world.rotate()
    }
    expect(world.history.at(-1)?.keys.size).toBe(4)
  }
  expect(finished).toBe(6)
})
