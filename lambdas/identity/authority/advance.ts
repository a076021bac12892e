// Carries a plan out: makes the keys and certificates that it asks for and puts them into a new document. Writes nothing
// but the root keys, whose makers see to it that they last before a document names them.
import type { AuthorityDocument, JwtKeyEntry, RootEntry } from './document.ts'
import { type Blocked, type CaFacts, datesOf, type Plan, planAdvance, type Wanted } from './plan.ts'

/** Everything that makes or reads a key or a certificate. */
export interface CaTools {
  facts(document: AuthorityDocument): CaFacts
  /** Whether a root with this key may sign still. */
  canSign(key: string): boolean
  /** Whether there is a key for one more root besides these. */
  hasSpare(keys: readonly string[]): boolean
  /** A root with a key that is none of `used`. */
  makeRoot(used: readonly string[], now: Date): Promise<Pick<RootEntry, 'certificate' | 'key'>>
  makeIssuing(root: Pick<RootEntry, 'certificate' | 'key'>, now: Date): Promise<AuthorityDocument['issuing']>
  makeJwtKey(): Promise<Pick<JwtKeyEntry, 'kid' | 'alg' | 'key'>>
}

export interface AdvanceOptions {
  readonly now: Date
  readonly wanted?: Wanted
}

export interface Advanced {
  /** The same object where nothing was due. */
  readonly document: AuthorityDocument
  readonly publishedRoot: RootEntry | null
  readonly publishedJwtKey: JwtKeyEntry | null
  readonly issuingRenewed: boolean
  /** Roots that are no longer in the document. */
  readonly droppedRoots: readonly RootEntry[]
  readonly droppedJwtKeys: readonly JwtKeyEntry[]
  readonly blocked: readonly Blocked[]
}

/** The plan for a document, by what its certificates say. */
export function planFor(document: AuthorityDocument, tools: CaTools, options: AdvanceOptions): Plan {
  return planAdvance(document, {
    ...options,
    facts: tools.facts(document),
    canSign: (key) => tools.canSign(key),
    hasSpare: (keys) => tools.hasSpare(keys),
  })
}

/** The document as it should be from now on. */
export async function advance(
  document: AuthorityDocument,
  tools: CaTools,
  options: AdvanceOptions,
): Promise<Advanced> {
  const { now } = options
  const plan = planFor(document, tools, options)
  const used = plan.roots.map(({ key }) => key)
  const issuing = plan.issueBy === null ? null : await tools.makeIssuing(plan.issueBy, now)
  const publishedRoot =
    plan.publishRoot === null ? null : { ...(await tools.makeRoot(used, now)), ...plan.publishRoot }
  const publishedJwtKey =
    plan.publishJwtKey === null ? null : { ...(await tools.makeJwtKey()), ...plan.publishJwtKey }
  const next: AuthorityDocument = {
    ...document,
    sequence: plan.sequence,
    roots: [...plan.roots, ...(publishedRoot === null ? [] : [publishedRoot])],
    issuing: issuing ?? document.issuing,
    jwtKeys: [...plan.jwtKeys, ...(publishedJwtKey === null ? [] : [publishedJwtKey])],
  }
  const kids = new Set(plan.jwtKeys.map(({ kid }) => kid))
  return {
    document: plan.due ? next : document,
    publishedRoot,
    publishedJwtKey,
    issuingRenewed: issuing !== null,
    droppedRoots: document.roots.filter(({ key }) => !used.includes(key)),
    droppedJwtKeys: document.jwtKeys.filter(({ kid }) => !kids.has(kid)),
    blocked: plan.blocked,
  }
}

/** Seconds. */
const REFRESH_HINT = 300

/** The first document. Its keys are active at once: nobody verifies yet. */
export async function giveBirth(tools: CaTools, now: Date): Promise<AuthorityDocument> {
  const dates = datesOf(now, REFRESH_HINT, 0)
  const root = await tools.makeRoot([], now)
  return {
    sequence: 1,
    refreshHint: REFRESH_HINT,
    roots: [{ ...root, ...dates }],
    issuing: await tools.makeIssuing(root, now),
    jwtKeys: [{ ...(await tools.makeJwtKey()), ...dates }],
  }
}
