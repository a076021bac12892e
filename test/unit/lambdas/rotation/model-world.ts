// The world of the model: one secret, rotations of it, instances of the API with the cache that they really have, and
// verifiers behind them. Whatever breaks a promise throws.
import { DocumentCache } from '../../../../lambdas/identity/authority/cached.ts'
import {
  type AuthorityDocument,
  parseAuthorityDocument,
} from '../../../../lambdas/identity/authority/document.ts'
import { chooseJwtKey } from '../../../../lambdas/identity/authority/jwt-keys.ts'
import { isFresh } from '../../../../lambdas/identity/authority/publication.ts'
import { REQUEST_TAG } from '../../../../lambdas/rotation/request.ts'
import type { RotationOptions } from '../../../../lambdas/rotation/rotation.ts'
import { directClient } from '../../../fakes/aws/secrets-manager.ts'
import { SecretsStore } from '../../../fakes/aws/secrets-store.ts'
import { createFakeTools, FakeRootKeys, type Keys, readCa } from './model-ca.ts'
import { DAY, HOUR, MINUTE, STEPS, UNBORN } from './support.ts'

const JWT_LIFE = DAY
const LEAF_LIFE = DAY
const HINT = 5 * MINUTE
/** Numbers of the product, written down once more: the model is to notice when they change. */
const HINTS_BEFORE_USE = 5
const REREAD = MINUTE
const RETRY = 5000
const MARGIN = HOUR

export interface Conditions {
  readonly keys: Keys
  readonly rootLife: number
  /** How far the clock of the rotation and those of the instances are from the true time. */
  readonly rotationSkew: number
  readonly skews: readonly number[]
}

/** A promise that is broken ends the run. */
function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

class Killed extends Error {}

function keysOf(document: AuthorityDocument): ReadonlySet<string> {
  const roots = document.roots.map(({ certificate }) => readCa(certificate).id)
  return new Set([...roots, ...document.jwtKeys.map(({ kid }) => kid)])
}

function isSame(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((key) => other.has(key))
}

/** What is published: what somebody has, or had. */
interface Published {
  readonly sequence: number
  readonly keys: ReadonlySet<string>
}

const publishedBy = (document: AuthorityDocument): Published => ({
  sequence: document.sequence,
  keys: keysOf(document),
})

class Instance {
  readonly cache: DocumentCache<AuthorityDocument>
  readonly #world: World
  readonly #skew: number
  failing = false
  document: AuthorityDocument | null = null
  #calls = 0
  #mayReadAt = Number.NEGATIVE_INFINITY

  constructor(world: World, skew: number) {
    this.#world = world
    this.#skew = skew
    this.cache = new DocumentCache({
      read: () => this.#read(),
      sequenceOf: ({ sequence }) => sequence,
      clock: () => new Date(this.now()),
      log: () => undefined,
    })
  }

  now(): number {
    return this.#world.now + this.#skew
  }

  async #read(): Promise<AuthorityDocument> {
    this.#calls += 1
    this.#mayReadAt = this.#world.now + RETRY
    if (this.failing) throw new Error('no answer')
    const document = parseAuthorityDocument(this.#world.store.current)
    must(document.sequence >= (this.document?.sequence ?? 0), 'an instance sees the sequence go back')
    this.#mayReadAt = this.#world.now + REREAD
    return document
  }

  /** As a request does: it reads when a minute has passed, and neither before nor later. */
  async use(): Promise<AuthorityDocument | null> {
    const before = this.#calls
    const due = this.#world.now >= this.#mayReadAt
    this.document = await this.cache.current().catch(() => null)
    must(
      this.#calls - before === (due ? 1 : 0),
      'an instance reads the document when it must not, or does not',
    )
    return this.document
  }

  /** What it would give to a verifier. */
  served(): Published | null {
    if (this.document === null) return null
    const fresh = isFresh(this.cache.readAt(), this.document.refreshHint, new Date(this.now()))
    return fresh ? publishedBy(this.document) : null
  }
}

/** A verifier: it keeps the highest sequence that it saw. */
class Reader {
  seen: Published | null = null
  answeredAt = Number.NEGATIVE_INFINITY

  take(found: Published, now: number): void {
    this.answeredAt = now
    const known = this.seen
    if (known !== null && found.sequence < known.sequence) return
    if (known?.sequence === found.sequence) {
      must(isSame(known.keys, found.keys), `a reader sees two sets of keys as sequence ${found.sequence}`)
    }
    this.seen = found
  }
}

interface Signed {
  readonly key: string
  readonly until: number
}

interface Running {
  readonly token: string
  step: number
}

export class World {
  now = Date.parse('2026-01-01T00:00:00Z')
  readonly store = new SecretsStore(UNBORN)
  readonly rootKeys: FakeRootKeys
  readonly instances: readonly Instance[]
  readonly readers = [new Reader(), new Reader()]
  /** What was current, from when on. */
  readonly history: (Published & { readonly from: number })[] = []
  running: Running[] = []
  readonly counts = { signatures: 0, rotations: 0, blocked: 0, refusals: 0 }
  #signed: Signed[] = []
  #observed: AuthorityDocument | null = null
  #ids = 0
  readonly #conditions: Conditions

  constructor(conditions: Conditions) {
    this.#conditions = conditions
    this.rootKeys = new FakeRootKeys(conditions.keys)
    this.instances = conditions.skews.map((skew) => new Instance(this, skew))
  }

  #options(token: string, killAt: number): RotationOptions {
    const { rotationSkew, rootLife } = this.#conditions
    const clock = () => this.now + rotationSkew
    let calls = 0
    return {
      client: directClient(this.store, () => {
        calls += 1
        if (calls === killAt) throw new Killed()
      }),
      token,
      secretId: 'issuing',
      tools: createFakeTools({ keys: this.rootKeys, next: () => ++this.#ids, clock, rootLife }),
      check: async () => undefined,
      clock: () => new Date(clock()),
      log: ({ event }) => {
        if (event === 'rotation.blocked') this.counts.blocked += 1
      },
    }
  }

  current(): AuthorityDocument | null {
    return this.store.current === UNBORN ? null : parseAuthorityDocument(this.store.current)
  }

  /** After anything that rotation did. */
  #observe(): void {
    const document = this.current()
    if (document === null || document.basedOn === this.#observed?.basedOn) return
    const found = publishedBy(document)
    const last = this.history.at(-1)
    if (last !== undefined) {
      must(found.sequence >= last.sequence, 'the sequence of the secret went back')
      const same = isSame(found.keys, last.keys)
      must(
        same === (found.sequence === last.sequence),
        `sequence ${found.sequence} stands for two sets of keys`,
      )
      this.#expectDates(document, last.keys)
    }
    this.#observed = document
    this.history.push({ ...found, from: this.now })
  }

  /** A new key signs five hints after it was published, to the millisecond. */
  #expectDates(document: AuthorityDocument, known: ReadonlySet<string>): void {
    const entries = [
      ...document.roots.map((root) => ({ ...root, name: readCa(root.certificate).id })),
      ...document.jwtKeys.map((key) => ({ ...key, name: key.kid })),
    ]
    for (const { name, publishedAt, activateAt } of entries) {
      const waits = Date.parse(activateAt) - Date.parse(publishedAt)
      must(
        known.has(name) || waits === HINTS_BEFORE_USE * HINT,
        `${name} signs ${waits} ms after it is published`,
      )
    }
  }

  /** Promise 1: of a bundle that is three hints old, from an instance whose document was one hint old then. */
  #expectKnown(key: string): void {
    for (let index = this.history.length - 1; index >= 0; index--) {
      const until = this.history[index + 1]?.from ?? Number.POSITIVE_INFINITY
      if (until <= this.now - 4 * HINT) break
      must(this.history[index]?.keys.has(key) === true, `${key} is not in every bundle of the last hints`)
    }
    for (const instance of this.instances) {
      const served = instance.served()
      must(served === null || served.keys.has(key), `an instance gives out as fresh what has no ${key}`)
    }
    for (const { seen, answeredAt } of this.readers) {
      const asks = this.now - answeredAt <= 3 * HINT
      must(seen === null || !asks || seen.keys.has(key), `a reader that asks does not know ${key}`)
    }
  }

  async sign(instance: Instance): Promise<void> {
    const document = await instance.use()
    if (document === null) return
    const now = instance.now()
    const issuing = readCa(document.issuing.chain)
    if (now < issuing.to) this.#note(issuing.root, Math.min(now + LEAF_LIFE, issuing.to))
    const jwt = chooseJwtKey(document.jwtKeys, issuing.to, now)
    if (jwt !== null) this.#note(jwt.kid, now + JWT_LIFE)
  }

  #note(key: string, until: number): void {
    this.#expectKnown(key)
    this.counts.signatures += 1
    this.#signed = [
      ...this.#signed.filter((one) => one.until > this.now && !(one.key === key && one.until <= until)),
      { key, until },
    ]
  }

  /** Promise 2. */
  expectNoOrphans(): void {
    const document = this.current()
    if (document === null) return
    const ends = new Map([
      ...document.roots.map((root) => [readCa(root.certificate).id, root.removeAfter] as const),
      ...document.jwtKeys.map(({ kid, removeAfter }) => [kid, removeAfter] as const),
    ])
    for (const { key, until } of this.#signed) {
      if (until <= this.now) continue
      const end = ends.get(key)
      must(end !== undefined, `${key} is gone while what it signed is valid`)
      // Not only still there: it must not go before, whenever the next rotation comes, and clocks differ.
      if (typeof end === 'string')
        must(Date.parse(end) >= until + MARGIN, `${key} is to go before what it signed has ended for all`)
    }
  }

  /** Promise 3. */
  async read(reader: Reader, instance: Instance): Promise<void> {
    await instance.use()
    const found = instance.served()
    if (found === null) this.counts.refusals += 1
    else reader.take(found, this.now)
  }

  async step(index: number, killAt: number): Promise<void> {
    const rotation = this.running[index % Math.max(1, this.running.length)]
    const step = STEPS[rotation?.step ?? 0]
    if (rotation === undefined || step === undefined) return
    try {
      await step(this.#options(rotation.token, killAt))
      rotation.step += 1
    } catch {
      // Secrets Manager tries a failed rotation again; what gave itself up is over.
      rotation.step = 0
      const waits = this.store.versions.get(rotation.token)?.stages.has('AWSPENDING') === true
      if (!waits) this.running = this.running.filter((other) => other !== rotation)
    }
    if (rotation.step === STEPS.length) {
      this.counts.rotations += 1
      this.running = this.running.filter((other) => other !== rotation)
    }
    this.#observe()
    this.expectNoOrphans()
  }

  begin(): void {
    try {
      this.running.push({ token: this.store.beginRotation(), step: 0 })
    } catch {
      // One is under way: AWS refuses.
    }
  }

  /** One rotation from end to end, or another try of the one that waits. */
  async rotate(): Promise<void> {
    this.begin()
    for (const _step of STEPS) await this.step(this.running.length - 1, 0)
  }

  /** What an operator asks for by hand. */
  ask(what: string): void {
    this.store.tags.set(REQUEST_TAG, `${what} word-${++this.#ids}`)
  }

  /** What an impatient operator can do: put the label on a version of his own while another rotation waits. */
  force(): void {
    const token = `forced-${++this.#ids}-${'x'.repeat(24)}`
    const pending = this.store.holderOf('AWSPENDING')
    if (pending !== null) this.store.versions.get(pending)?.stages.delete('AWSPENDING')
    this.running.push({ token: this.store.beginRotation(token), step: 0 })
  }

  /** And then he puts it back on a version that waited. */
  swap(index: number): void {
    const rotation = this.running[index % Math.max(1, this.running.length)]
    const version = this.store.versions.get(rotation?.token ?? '')
    if (version === undefined || version.value === null || version.stages.size > 0) return
    const pending = this.store.holderOf('AWSPENDING')
    if (pending !== null) this.store.versions.get(pending)?.stages.delete('AWSPENDING')
    version.stages.add('AWSPENDING')
  }
}
