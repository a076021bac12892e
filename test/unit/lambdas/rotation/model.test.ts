// The CA over time as a model: the real planner and the real steps over a strict Secrets Manager, with fake keys, a fake
// clock, and random interleavings of rotations that die, come late or meet each other, instances whose reads fail, and
// verifiers whose bundles are up to three refresh hints old (attack 49). Three promises are checked all the time:
//   1. nothing is signed by a key that such a verifier does not have;
//   2. nothing that is valid is orphaned: its key is published until it ends;
//   3. no reader sees the sequence go back, and one sequence is one set of keys.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CaTools } from '../../../../lambdas/identity/authority/advance.ts'
import {
  type AuthorityDocument,
  parseAuthorityDocument,
} from '../../../../lambdas/identity/authority/document.ts'
import { chooseJwtKey } from '../../../../lambdas/identity/authority/jwt-keys.ts'
import type { RotationOptions } from '../../../../lambdas/rotation/rotation.ts'
import { createSecret, finishSecret, setSecret, testSecret } from '../../../../lambdas/rotation/steps.ts'
import { SecretsStore } from '../../../fakes/aws/secrets-store.ts'
import { directClient } from '../../../fakes/aws/secrets-manager.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const STEPS = [createSecret, setSecret, testSecret, finishSecret]
const JWT_LIFE = DAY
const LEAF_LIFE = DAY
const ISSUING_LIFE = 7 * DAY
const ROOT_LIFE = 10 * 365 * DAY

/** Certificates that are JSON. */
interface FakeCa {
  readonly id: number
  readonly root: string
  readonly from: number
  readonly to: number
}

function createFakeTools(next: () => number, clock: () => number, rootLife: () => number): CaTools {
  const read = (text: string) => JSON.parse(text) as FakeCa
  const hex = (id: number) => id.toString(16).padStart(16, '0')
  return {
    facts(document) {
      const issuing = read(document.issuing.chain)
      return {
        rootEnds: document.roots.map(({ certificate }) => read(certificate).to),
        issuing: {
          root: document.roots.findIndex(({ key }) => key === issuing.root),
          beganAt: issuing.from,
        },
      }
    },
    canSign: () => true,
    hasSpare: () => true,
    async makeRoot() {
      const key = `file:root-${hex(next())}.key`
      return {
        key,
        certificate: JSON.stringify({ id: 0, root: key, from: clock(), to: clock() + rootLife() }),
      }
    },
    async makeIssuing(root) {
      const to = Math.min(clock() + ISSUING_LIFE, read(root.certificate).to)
      const ca: FakeCa = { id: next(), root: root.key, from: clock(), to }
      return { chain: JSON.stringify(ca), key: 'k', notAfter: new Date(to).toISOString() }
    },
    makeJwtKey: async () => ({ kid: `kid-${next()}`, alg: 'ES256', key: 'k' }),
  }
}

interface Signed {
  readonly key: string
  readonly until: number
}

interface Instance {
  document: AuthorityDocument | null
}

interface Running {
  readonly token: string
  step: number
}

class Killed extends Error {}

/** A promise that is broken ends the run. */
function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

class World {
  now = Date.parse('2026-01-01T00:00:00Z')
  readonly store = new SecretsStore('{"state":"unborn"}')
  readonly instances: Instance[] = [{ document: null }, { document: null }, { document: null }]
  /** What was current, from when on. */
  readonly history: {
    readonly from: number
    readonly keys: ReadonlySet<string>
    readonly sequence: number
  }[] = []
  signed: Signed[] = []
  running: Running[] = []
  signatures = 0
  rotations = 0
  rootLife = ROOT_LIFE
  #ids = 0
  readonly #tools = createFakeTools(
    () => ++this.#ids,
    () => this.now,
    () => this.rootLife,
  )

  options(token: string, killAt: number): RotationOptions {
    let calls = 0
    const client = directClient(this.store, () => {
      calls += 1
      if (calls === killAt) throw new Killed()
    })
    return {
      client,
      token,
      secretId: 'issuing',
      tools: this.#tools,
      check: async () => undefined,
      clock: () => new Date(this.now),
      log: () => undefined,
    }
  }

  current(): AuthorityDocument | null {
    const text = this.store.current
    return text.startsWith('{"state"') ? null : parseAuthorityDocument(text)
  }

  keysOf(document: AuthorityDocument): ReadonlySet<string> {
    return new Set([...document.roots.map(({ key }) => key), ...document.jwtKeys.map(({ kid }) => kid)])
  }

  /** Notes what is current now, and that the sequence tells sets of keys apart. */
  observe(): void {
    const document = this.current()
    if (document === null) return
    const keys = this.keysOf(document)
    const last = this.history.at(-1)
    const { sequence } = document
    if (last !== undefined) {
      must(sequence >= last.sequence, 'the sequence of the secret went back')
      const same = keys.size === last.keys.size && [...keys].every((key) => last.keys.has(key))
      must(same === (sequence === last.sequence), `sequence ${sequence} stands for two sets of keys`)
      if (same) return
    }
    this.history.push({ from: this.now, keys, sequence })
  }

  /** Promise 1. */
  expectKnown(key: string): void {
    const document = this.current()
    const oldest = this.now - 3 * (document?.refreshHint ?? 0) * 1000
    for (const [index, past] of this.history.entries()) {
      const until = this.history[index + 1]?.from ?? Number.POSITIVE_INFINITY
      // Before birth nobody verified.
      if (until > oldest) must(past.keys.has(key), `${key} is not in every bundle of the last 3 hints`)
    }
  }

  sign(instance: Instance): void {
    const { document } = instance
    if (document === null) return
    const issuing = JSON.parse(document.issuing.chain) as FakeCa
    if (this.now < issuing.to) this.note(issuing.root, Math.min(this.now + LEAF_LIFE, issuing.to))
    const jwt = chooseJwtKey(document.jwtKeys, issuing.to, this.now)
    if (jwt !== null) this.note(jwt.kid, this.now + JWT_LIFE)
  }

  note(key: string, until: number): void {
    this.expectKnown(key)
    this.signatures += 1
    this.signed = [
      ...this.signed.filter((one) => one.until > this.now && !(one.key === key && one.until <= until)),
      { key, until },
    ]
  }

  /** Promise 2. */
  expectNoOrphans(): void {
    const document = this.current()
    if (document === null) return
    const ends = new Map([
      ...document.roots.map(({ key, removeAfter }) => [key, removeAfter] as const),
      ...document.jwtKeys.map(({ kid, removeAfter }) => [kid, removeAfter] as const),
    ])
    for (const { key, until } of this.signed) {
      if (until <= this.now) continue
      const end = ends.get(key)
      must(end !== undefined, `${key} is gone while what it signed is valid`)
      // Not only still there: it must not go before, whenever the next rotation comes.
      if (typeof end === 'string')
        must(Date.parse(end) >= until, `${key} is to go before what it signed ends`)
    }
  }

  /** Promise 3, for a reader that keeps the rule of the real one. */
  read(instance: Instance): void {
    const document = this.current()
    if (document === null) return
    must(document.sequence >= (instance.document?.sequence ?? 0), 'a reader sees the sequence go back')
    instance.document = document
  }

  async step(index: number, killAt: number): Promise<void> {
    const rotation = this.running[index % Math.max(1, this.running.length)]
    const step = STEPS[rotation?.step ?? 0]
    if (rotation === undefined || step === undefined) return
    try {
      await step(this.options(rotation.token, killAt))
      rotation.step += 1
      if (rotation.step === STEPS.length) {
        this.rotations += 1
        this.running = this.running.filter((other) => other !== rotation)
      }
    } catch (error) {
      // Secrets Manager tries a failed step again; what gave itself up is over.
      if (!(error instanceof Killed)) this.running = this.running.filter((other) => other !== rotation)
    }
    this.observe()
    this.expectNoOrphans()
  }

  begin(): void {
    try {
      this.running.push({ token: this.store.beginRotation(), step: 0 })
    } catch {
      // One is under way: AWS refuses.
    }
  }

  /** What an impatient operator can do: put the label on a version of his own while another rotation waits. */
  force(): void {
    const token = `forced-${++this.#ids}-${'x'.repeat(24)}`
    this.store.versions.set(token, { value: null, stages: new Set() })
    const pending = this.store.holderOf('AWSPENDING')
    if (pending !== null) this.store.versions.get(pending)?.stages.delete('AWSPENDING')
    this.store.versions.get(token)?.stages.add('AWSPENDING')
    this.running.push({ token, step: 0 })
  }
}

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

type Command =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'begin' | 'force' }
  | Days
  | { readonly kind: 'step'; readonly index: number; readonly killAt: number }
  | { readonly kind: 'read' | 'sign'; readonly index: number }

/** A day with one rotation from end to end. Instances that cannot read go on with the document that they have. */
async function passDay(world: World, { readers, ms, again }: Days): Promise<void> {
  world.now += DAY
  world.expectNoOrphans()
  for (let round = 0; round <= again; round++) {
    world.begin()
    for (const _step of STEPS) await world.step(world.running.length - 1, 0)
    world.now += round === again ? 0 : 5 * MINUTE
  }
  for (const wait of [0, ms]) {
    world.now += wait
    for (const [number, one] of world.instances.entries()) {
      if ((readers & (1 << number)) !== 0) world.read(one)
      world.sign(one)
    }
    world.expectNoOrphans()
  }
}

async function run(world: World, command: Command): Promise<void> {
  const instance = 'index' in command ? world.instances[command.index % 3] : undefined
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
    case 'days':
      for (let day = 0; day < command.count; day++) await passDay(world, command)
      break
    case 'step':
      await world.step(command.index, command.killAt)
      break
    case 'read':
      if (instance !== undefined) world.read(instance)
      break
    case 'sign':
      if (instance !== undefined) world.sign(instance)
      break
  }
}

const index = fc.nat(2)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.integer({ min: 1000, max: 20 * MINUTE }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: HOUR, max: 3 * DAY }) }),
  },
  { weight: 2, arbitrary: fc.constantFrom<Command>({ kind: 'begin' }, { kind: 'begin' }, { kind: 'force' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('days' as const),
      count: fc.integer({ min: 1, max: 16 }),
      readers: fc.nat(7),
      again: fc.nat(1),
      ms: fc.integer({ min: 0, max: 2 * HOUR }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('step' as const), index, killAt: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), index }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('sign' as const), index }) },
)

test('attack 49: whatever happens in whatever order, the three promises hold', {
  timeout: 60_000,
}, async () => {
  let signatures = 0
  let rotations = 0
  let sets = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 40, maxLength: 120, size: 'max' }),
      // Short-lived roots bring their succession, which takes nine years otherwise, into reach.
      fc.constantFrom(ROOT_LIFE, 365 * DAY + 20 * DAY),
      async (commands, rootLife) => {
        const world = new World()
        world.rootLife = rootLife
        for (const one of commands) await run(world, one)
        signatures += world.signatures
        rotations += world.rotations
        sets += world.history.length
      },
    ),
    // Shrinking a history of months takes longer than reading it.
    { numRuns: 100, endOnFailure: true },
  )
  // The model is worth something only where things happen in it.
  expect(signatures).toBeGreaterThan(1000)
  expect(rotations).toBeGreaterThan(1000)
  expect(sets).toBeGreaterThan(300)
})
