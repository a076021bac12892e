// Decides what is due in a CA document at a moment, and nothing else: no key is made here and nothing is read. The rules
// keep two promises over time. Nobody signs with a key that verifiers may not have yet, and no key goes while something
// that it signed is valid, not even what an instance signs that still holds an older document.
import type { AuthorityDocument, JwtKeyEntry, RootEntry } from './document.ts'
import { MAX_KEYS } from './document.ts'
import { MAX_JWT_LIFETIME_MS } from './jwt-keys.ts'
import { datesOf, type KeyDates } from './publication.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Rotation runs daily, but its hour may differ from day to day. */
const ISSUING_RENEWAL_MS = 20 * HOUR_MS
const ROOT_SUCCESSION_MS = 365 * DAY_MS
/** A JWT key signs for 30 days; its successor is published by the rotation of the day before. */
const JWT_SUCCESSION_MS = 29 * DAY_MS
/** For clocks that differ. */
const REMOVAL_MARGIN_MS = HOUR_MS

/** What only the certificates say. */
export interface CaFacts {
  /** The end of each root, in the order of the document. */
  readonly rootEnds: readonly number[]
  readonly issuing: {
    /** The index of the root that it ends at. */
    readonly root: number
    readonly beganAt: number
  }
}

/** What an operator asks for by hand. */
export interface Wanted {
  readonly issuing?: boolean
  readonly root?: boolean
  readonly jwt?: boolean
}

export interface PlanOptions {
  readonly now: Date
  readonly facts: CaFacts
  /** Whether a root with this key may sign still. */
  readonly canSign: (key: string) => boolean
  /** Whether there is a key for one more root besides these. */
  readonly hasSpare: (keys: readonly string[]) => boolean
  readonly wanted?: Wanted
  /** Successors that could not be made: everything else is still due. */
  readonly failed?: Pick<Wanted, 'root' | 'jwt'>
}

/** Why something that is due, or was asked for, does not happen. */
export type Blocked =
  | 'no-root-may-sign'
  | 'no-spare-root-key'
  | 'too-many-keys'
  | 'successor-waits'
  | 'successor-failed'

export interface Plan {
  /** Whether anything changes. */
  readonly due: boolean
  readonly sequence: number
  /** Those that stay; the ones that are now on their way out have their date. */
  readonly roots: readonly RootEntry[]
  readonly jwtKeys: readonly JwtKeyEntry[]
  readonly publishRoot: KeyDates | null
  readonly publishJwtKey: KeyDates | null
  /** The root that signs a new issuing CA. */
  readonly issueBy: RootEntry | null
  readonly blocked: readonly Blocked[]
}

type Dated = Pick<RootEntry, 'activateAt' | 'removeAfter'>

const activeFrom = (entry: Dated): number => Date.parse(entry.activateAt)
const iso = (time: number): string => new Date(time).toISOString()

/** The one with the latest activation of those that are not on their way out. */
function newest<Entry extends Dated>(entries: readonly Entry[]): Entry | null {
  const staying = entries.filter(({ removeAfter }) => removeAfter === null)
  return staying.reduce<Entry | null>(
    (best, entry) => (best === null || activeFrom(entry) >= activeFrom(best) ? entry : best),
    null,
  )
}

function isGone({ removeAfter }: Dated, now: Date): boolean {
  return removeAfter !== null && Date.parse(removeAfter) <= now.getTime()
}

interface Succession {
  readonly publish: KeyDates | null
  readonly blocked: readonly Blocked[]
}

interface SuccessionInput {
  readonly due: boolean
  readonly wanted: boolean
  readonly waits: boolean
  readonly count: number
  readonly spare: boolean
  readonly failed: boolean
}

function planSuccession(document: AuthorityDocument, now: Date, input: SuccessionInput): Succession {
  if (!input.due && !input.wanted) return { publish: null, blocked: [] }
  // One at a time: a third would push the second out before anybody used it.
  if (input.waits && !input.due) return { publish: null, blocked: ['successor-waits'] }
  if (input.count >= MAX_KEYS) return { publish: null, blocked: ['too-many-keys'] }
  if (!input.spare) return { publish: null, blocked: ['no-spare-root-key'] }
  if (input.failed) return { publish: null, blocked: ['successor-failed'] }
  return { publish: datesOf(now, document.refreshHint), blocked: [] }
}

function planRoots(document: AuthorityDocument, roots: readonly RootEntry[], options: PlanOptions) {
  const { now, facts, canSign } = options
  const last = newest(roots)
  const ends = last === null ? 0 : (facts.rootEnds[document.roots.indexOf(last)] ?? 0)
  const waits = last !== null && activeFrom(last) > now.getTime()
  const endsSoon = !waits && ends - now.getTime() < ROOT_SUCCESSION_MS
  return planSuccession(document, now, {
    due: last === null || endsSoon || !canSign(last.key),
    wanted: options.wanted?.root === true,
    waits,
    count: roots.length,
    spare: options.hasSpare(roots.map(({ key }) => key)),
    failed: options.failed?.root === true,
  })
}

function planJwtKeys(document: AuthorityDocument, keys: readonly JwtKeyEntry[], options: PlanOptions) {
  const now = options.now.getTime()
  const last = newest(keys)
  return planSuccession(document, options.now, {
    due: last === null || now - activeFrom(last) >= JWT_SUCCESSION_MS,
    wanted: options.wanted?.jwt === true,
    waits: last !== null && activeFrom(last) > now,
    count: keys.length,
    spare: true,
    failed: options.failed?.jwt === true,
  })
}

interface Issuance {
  readonly issueBy: RootEntry | null
  readonly blocked: readonly Blocked[]
}

function planIssuing(document: AuthorityDocument, options: PlanOptions): Issuance {
  const { now, facts, canSign, wanted } = options
  const able = document.roots.filter((root) => activeFrom(root) <= now.getTime() && canSign(root.key))
  const signer = newest(able)
  const old = now.getTime() - facts.issuing.beganAt >= ISSUING_RENEWAL_MS
  const due = old || wanted?.issuing === true
  if (signer === null) return { issueBy: null, blocked: due ? ['no-root-may-sign'] : [] }
  const switches = document.roots.indexOf(signer) !== facts.issuing.root
  return { issueBy: due || switches ? signer : null, blocked: [] }
}

/**
 * The roots that came before the signer sign nothing more. What they signed ends with the issuing CA of the document
 * that is replaced: of all that they certified it ends last, and no SVID outlives the CA that signed it.
 */
function retireRoots(document: AuthorityDocument, roots: readonly RootEntry[], signer: RootEntry | null) {
  if (signer === null) return roots
  const removeAfter = iso(Date.parse(document.issuing.notAfter) + REMOVAL_MARGIN_MS)
  return roots.map((root) => {
    const before = root !== signer && root.removeAfter === null && activeFrom(root) <= activeFrom(signer)
    return before ? { ...root, removeAfter } : root
  })
}

/**
 * A JWT key that has a successor signs until that one is active; in an instance that has not heard of the successor,
 * until the issuing CA of the document that is replaced ends. Its last token ends a day after the later of the two.
 */
function retireJwtKeys(
  document: AuthorityDocument,
  keys: readonly JwtKeyEntry[],
  successor: KeyDates | null,
) {
  if (successor === null) return keys
  const lastUse = Math.max(Date.parse(document.issuing.notAfter), Date.parse(successor.activateAt))
  const removeAfter = iso(lastUse + MAX_JWT_LIFETIME_MS + REMOVAL_MARGIN_MS)
  return keys.map((key) => (key.removeAfter === null ? { ...key, removeAfter } : key))
}

/** What is due. */
export function planAdvance(document: AuthorityDocument, options: PlanOptions): Plan {
  const { now, facts } = options
  const staying = document.roots.filter((root, index) => index === facts.issuing.root || !isGone(root, now))
  const keys = document.jwtKeys.filter((key) => !isGone(key, now))
  const issuing = planIssuing(document, options)
  const root = planRoots(document, staying, options)
  const jwt = planJwtKeys(document, keys, options)
  const dropped = staying.length < document.roots.length || keys.length < document.jwtKeys.length
  const published = dropped || root.publish !== null || jwt.publish !== null
  const switches = issuing.issueBy !== null && document.roots.indexOf(issuing.issueBy) !== facts.issuing.root
  return {
    due: published || issuing.issueBy !== null,
    sequence: document.sequence + (published ? 1 : 0),
    roots: retireRoots(document, staying, switches ? issuing.issueBy : null),
    jwtKeys: retireJwtKeys(document, keys, jwt.publish),
    publishRoot: root.publish,
    publishJwtKey: jwt.publish,
    issueBy: issuing.issueBy,
    blocked: [...issuing.blocked, ...root.blocked, ...jwt.blocked],
  }
}
