// Policy sets that the engine has parsed and keeps. It keeps a set under its name for ever and frees it only where
// another takes the name, so there is a fixed number of names, and a bound on what lies under all of them together.
import { type AuthorizationRequest, authorizePrepared, preparePolicies } from './cedar.ts'
import type { Response } from './cedar.ts'

/** More than the sets that a gateway asks at the same time; each reload takes names from the ones before. */
const MAX_SETS = 64
/** Of all sets together. A parsed policy takes some kilobytes, and wasm memory never shrinks. */
const MAX_POLICIES = 8_192

interface Slot {
  readonly name: string
  holds: PreparedSet | null
  size: number
  lastUse: number
}

const slots: readonly Slot[] = Array.from({ length: MAX_SETS }, (_, index) => ({
  name: `policies-${index}`,
  holds: null,
  size: 0,
  lastUse: 0,
}))
let uses = 0
let held = 0

/** A policy set that stays right however many are alive: what lies under its name is looked at with each use. */
export class PreparedSet {
  readonly #policies: Readonly<Record<string, string>>
  readonly #size: number
  #slot: Slot | null = null

  /** `policies` maps `@id` to text. Throws CedarError where the engine does not take them. */
  constructor(policies: Readonly<Record<string, string>>) {
    this.#policies = policies
    this.#size = Object.keys(policies).length
    this.#occupy()
  }

  /** Cedar's own answer (cedar.ts). Throws CedarError. */
  authorize(request: AuthorizationRequest): Response {
    return authorizePrepared(this.#occupy(), request)
  }

  #occupy(): string {
    uses += 1
    // With another set under the name, the wrong policies would answer.
    if (this.#slot?.holds !== this) this.#slot = place(this, this.#policies, this.#size)
    this.#slot.lastUse = uses
    return this.#slot.name
  }
}

/** Takes the name that was not used for longest, after the ones that must go to make room. */
function place(set: PreparedSet, policies: Readonly<Record<string, string>>, size: number): Slot {
  while (held + size > MAX_POLICIES) {
    const full = slots.filter((slot) => slot.size > 0)
    if (full.length === 0) break
    fill(oldest(full), null, {}, 0)
  }
  const slot = oldest(slots)
  fill(slot, set, policies, size)
  return slot
}

function fill(
  slot: Slot,
  set: PreparedSet | null,
  policies: Readonly<Record<string, string>>,
  size: number,
): void {
  // Before the call: where it fails, nobody knows what lies there.
  slot.holds = null
  preparePolicies(slot.name, policies)
  held += size - slot.size
  slot.size = size
  slot.holds = set
}

function oldest(among: readonly Slot[]): Slot {
  return among.reduce((first, slot) => (slot.lastUse < first.lastUse ? slot : first))
}
