// Who may begin a handshake, against a model: any sources in any order stay within every limit, nobody waits for ever, and
// in the end nothing is counted that is gone.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Admission,
  type AdmissionLimits,
  createAdmission,
  DEFAULT_LIMITS,
  type HandshakeWaiter,
  sourceKey,
} from '../../../../../gateway/listeners/arrival/admission.ts'

/** A turn of the event loop. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

const SOURCES = ['a', 'b', 'c', 'd'] as const
type SourceName = (typeof SOURCES)[number]

interface Tracked extends HandshakeWaiter {
  readonly source: SourceName
  state: 'waiting' | 'working' | 'done'
}

type Step =
  | { readonly kind: 'enter' | 'leave' | 'queue'; readonly source: SourceName }
  | { readonly kind: 'done'; readonly pick: number }
  | { readonly kind: 'turn' }

const source = fc.constantFrom(...SOURCES)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('enter' as const, 'leave' as const), source }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('queue' as const), source }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('done' as const), pick: fc.nat() }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const }) },
)
const small = fc.integer({ min: 1, max: 4 })
const limits: fc.Arbitrary<AdmissionLimits> = fc.record({
  connections: fc.integer({ min: 1, max: 8 }),
  connectionsPerSource: small,
  handshakes: fc.integer({ min: 1, max: 6 }),
  handshakesPerSource: small,
  waiting: fc.integer({ min: 1, max: 10 }),
  waitingPerSource: fc.integer({ min: 1, max: 5 }),
  startsPerTurn: fc.integer({ min: 1, max: 3 }),
})

class Model {
  readonly admission: Admission
  readonly #limits: AdmissionLimits
  readonly #waiters: Tracked[] = []
  readonly #entered: SourceName[] = []
  /** Starts of others that a source has seen while it waited and could have begun. */
  readonly #passedOver = new Map<SourceName, number>()
  #startsInTurn = 0

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
    this.admission = createAdmission(limits)
  }

  async run(one: Step): Promise<void> {
    if (one.kind === 'turn') {
      this.#startsInTurn = 0
      await turn()
    } else if (one.kind === 'done') this.#done(one.pick)
    else this[one.kind](one.source)
    this.#check()
  }

  enter(of: SourceName): void {
    const { connections, connectionsPerSource } = this.#limits
    const open = this.#entered.length < connections
    assert.equal(this.admission.open(), open)
    if (!open) return
    const own = this.#entered.filter((name) => name === of).length
    assert.equal(this.admission.enter(of), own < connectionsPerSource)
    if (own < connectionsPerSource) this.#entered.push(of)
    else this.admission.close()
  }

  leave(of: SourceName): void {
    const at = this.#entered.indexOf(of)
    if (at === -1) return
    this.#entered.splice(at, 1)
    this.admission.leave(of)
    this.admission.close()
  }

  queue(of: SourceName): void {
    const waiter: Tracked = { source: of, state: 'waiting', begin: () => this.#began(waiter) }
    const { waiting, waitingPerSource } = this.#limits
    const room = this.#in('waiting').length < waiting && this.#in('waiting', of).length < waitingPerSource
    this.#waiters.push(waiter)
    assert.equal(this.admission.queue(waiter), room)
    if (!room) {
      assert.equal(waiter.state, 'waiting')
      waiter.state = 'done'
    }
  }

  /** All over: everybody ends and leaves. */
  async finish(): Promise<void> {
    for (const waiter of this.#waiters) {
      this.admission.done(waiter)
      waiter.state = 'done'
    }
    for (const of of [...this.#entered]) this.leave(of)
    await turn()
    assert.deepEqual(this.admission.state, { working: 0, waiting: 0, sources: 0 })
  }

  /** Who waits, waits for a reason that only the end of a handshake takes away. */
  async rest(): Promise<void> {
    for (let count = 0; count < 12; count += 1) await this.run({ kind: 'turn' })
    const full = this.#in('working').length >= this.#limits.handshakes
    for (const of of SOURCES) {
      if (this.#in('waiting', of).length > 0) assert.ok(full || !this.#canBegin(of))
    }
  }

  #done(pick: number): void {
    const live = this.#waiters.filter(({ state }) => state !== 'done')
    const waiter = live[pick % Math.max(1, live.length)]
    if (waiter === undefined) return
    // Before it is told: what starts meanwhile starts in its place.
    waiter.state = 'done'
    this.admission.done(waiter)
    // A second word about it changes nothing.
    this.admission.done(waiter)
  }

  #began(waiter: Tracked): void {
    // Neither twice nor after it was over.
    assert.equal(waiter.state, 'waiting')
    waiter.state = 'working'
    this.#startsInTurn += 1
    assert.ok(this.#startsInTurn <= this.#limits.startsPerTurn)
    this.#passedOver.delete(waiter.source)
    for (const of of SOURCES) {
      if (of === waiter.source || this.#in('waiting', of).length === 0 || !this.#canBegin(of)) continue
      const count = (this.#passedOver.get(of) ?? 0) + 1
      this.#passedOver.set(of, count)
      assert.ok(count < SOURCES.length)
    }
  }

  #canBegin(of: SourceName): boolean {
    return this.#in('working', of).length < this.#limits.handshakesPerSource
  }

  #in(state: Tracked['state'], of?: SourceName): readonly Tracked[] {
    return this.#waiters.filter((one) => one.state === state && (of === undefined || one.source === of))
  }

  #check(): void {
    const { handshakes, handshakesPerSource } = this.#limits
    const known = SOURCES.filter(
      (of) =>
        this.#entered.includes(of) || this.#in('waiting', of).length + this.#in('working', of).length > 0,
    )
    assert.deepEqual(this.admission.state, {
      working: this.#in('working').length,
      waiting: this.#in('waiting').length,
      sources: known.length,
    })
    assert.ok(this.#in('working').length <= handshakes)
    for (const of of SOURCES) assert.ok(this.#in('working', of).length <= handshakesPerSource)
  }
}

test('any sources in any order: never past a limit, nobody passed over for long, and nothing left in the end', async () => {
  await fc.assert(
    fc.asyncProperty(limits, fc.array(step, { maxLength: 120 }), async (given, steps) => {
      const model = new Model(given)
      for (const one of steps) await model.run(one)
      await model.rest()
      await model.finish()
    }),
    { numRuns: 300 },
  )
})

describe('the order', () => {
  const waiter = (admission: Admission, of: string, begun: string[]): HandshakeWaiter => {
    const made: HandshakeWaiter = { source: of, begin: () => void begun.push(of) }
    expect(admission.queue(made)).toBe(true)
    return made
  }

  test('one who comes late is served after one start of each who waits, not after all of theirs', async () => {
    const begun: string[] = []
    const admission = createAdmission({ ...DEFAULT_LIMITS, startsPerTurn: 1 })
    for (let count = 0; count < 100; count += 1) waiter(admission, 'greedy', begun)
    waiter(admission, 'modest', begun)
    for (let count = 0; count < 3; count += 1) await turn()
    expect(begun).toEqual(['greedy', 'greedy', 'modest', 'greedy'])
  })

  test('a source at its limit keeps its place, and is next when it may', async () => {
    const begun: string[] = []
    const admission = createAdmission({ ...DEFAULT_LIMITS, handshakesPerSource: 1, startsPerTurn: 1 })
    const first = waiter(admission, 'a', begun)
    waiter(admission, 'a', begun)
    for (const of of ['b', 'c', 'd']) waiter(admission, of, begun)
    await turn()
    expect(begun).toEqual(['a', 'b'])
    admission.done(first)
    await turn()
    expect(begun).toEqual(['a', 'b', 'a'])
  })

  test('one that is given up when its turn comes makes room at once', () => {
    const begun: string[] = []
    const admission = createAdmission({ ...DEFAULT_LIMITS, handshakes: 1, startsPerTurn: 2 })
    const gone: HandshakeWaiter = { source: 'a', begin: () => admission.done(gone) }
    expect(admission.queue(gone)).toBe(true)
    waiter(admission, 'b', begun)
    expect(begun).toEqual(['b'])
    expect(admission.state).toEqual({ working: 1, waiting: 0, sources: 1 })
  })
})

describe('a source', () => {
  test.each<[string, string]>([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    // An address that is none is a source of its own, and no error.
    ['nonsense', 'nonsense'],
    ['a:b', 'a:b'],
  ])('%s is counted as %s', (ip, key) => {
    expect(sourceKey(ip)).toBe(key)
  })

  test('two hosts of one /64 are one, of two are two', () => {
    const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
    fc.assert(
      fc.property(groups, groups, (one, other) => {
        const text = (parts: readonly number[]) => parts.map((part) => part.toString(16)).join(':')
        const same = [...one.slice(0, 4), ...other.slice(4)]
        // Mapped IPv4 lives in one /64 and is counted by its own address.
        fc.pre(!text(one).startsWith('0:0:0:0:') && !text(other).startsWith('0:0:0:0:'))
        expect(sourceKey(text(same))).toBe(sourceKey(text(one)))
        const differs = one.slice(0, 4).join() !== other.slice(0, 4).join()
        expect(sourceKey(text(other)) !== sourceKey(text(one))).toBe(differs)
      }),
    )
  })
})
