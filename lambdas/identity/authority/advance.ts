// Carries a plan out: makes the keys and certificates that it asks for and puts them into a new document. Writes nothing
// but the root keys, whose makers see to it that they last before a document names them.
import { type AuthorityLog, messageOf } from '../log.ts'
import type { AuthorityDocument, JwtKeyEntry, RootEntry } from './document.ts'
import { type Blocked, type CaFacts, type Plan, planAdvance, type Wanted } from './plan.ts'
import { datesOf } from './publication.ts'

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
  /** Why successors could not be made. */
  readonly failures: readonly string[]
}

type PlanFor = AdvanceOptions & { readonly failed?: Pick<Wanted, 'root' | 'jwt'> }

/** The plan for a document, by what its certificates say. */
export function planFor(document: AuthorityDocument, tools: CaTools, options: PlanFor): Plan {
  return planAdvance(document, {
    ...options,
    facts: tools.facts(document),
    canSign: (key) => tools.canSign(key),
    hasSpare: (keys) => tools.hasSpare(keys),
  })
}

interface Successors {
  readonly root: RootEntry | null
  readonly jwtKey: JwtKeyEntry | null
  readonly failures: readonly string[]
}

/** A successor that cannot be made is left out: the issuing CA must not end because a key for later is out of reach. */
async function makeSuccessors(plan: Plan, tools: CaTools, now: Date): Promise<Successors> {
  const failures: string[] = []
  async function attempt<T>(what: string, make: () => Promise<T>): Promise<T | null> {
    try {
      return await make()
    } catch (error) {
      failures.push(`${what}: ${messageOf(error)}`)
      return null
    }
  }
  const { publishRoot, publishJwtKey } = plan
  const used = plan.roots.map(({ key }) => key)
  const root =
    publishRoot &&
    (await attempt('root', async () => ({ ...(await tools.makeRoot(used, now)), ...publishRoot })))
  const jwtKey =
    publishJwtKey &&
    (await attempt('JWT key', async () => ({ ...(await tools.makeJwtKey()), ...publishJwtKey })))
  return { root, jwtKey, failures }
}

/**
 * The document as it should be from now on.
 * @throws where the issuing CA is due and cannot be renewed
 */
export async function advance(
  document: AuthorityDocument,
  tools: CaTools,
  options: AdvanceOptions,
): Promise<Advanced> {
  const wished = planFor(document, tools, options)
  const issuing = wished.issueBy === null ? null : await tools.makeIssuing(wished.issueBy, options.now)
  const { root, jwtKey, failures } = await makeSuccessors(wished, tools, options.now)
  const failed = {
    root: wished.publishRoot !== null && root === null,
    jwt: wished.publishJwtKey !== null && jwtKey === null,
  }
  // Planned again, since nothing retires and no sequence rises for a successor that is not there.
  const plan = failures.length === 0 ? wished : planFor(document, tools, { ...options, failed })
  const next: AuthorityDocument = {
    ...document,
    sequence: plan.sequence,
    roots: [...plan.roots, ...(root === null ? [] : [root])],
    issuing: issuing ?? document.issuing,
    jwtKeys: [...plan.jwtKeys, ...(jwtKey === null ? [] : [jwtKey])],
  }
  const used = new Set(plan.roots.map(({ key }) => key))
  const kids = new Set(plan.jwtKeys.map(({ kid }) => kid))
  return {
    document: plan.due ? next : document,
    publishedRoot: root,
    publishedJwtKey: jwtKey,
    issuingRenewed: issuing !== null,
    droppedRoots: document.roots.filter(({ key }) => !used.has(key)),
    droppedJwtKeys: document.jwtKeys.filter(({ kid }) => !kids.has(kid)),
    blocked: plan.blocked,
    failures,
  }
}

const REASONS: Readonly<Record<Exclude<Blocked, 'successor-failed'>, string>> = {
  'no-root-may-sign': 'the issuing CA is due, and the key of no active root is configured',
  'no-spare-root-key': 'a root is due a successor, and every configured key is that of a root already',
  'too-many-keys': 'there are as many keys as a document takes: something publishes without end',
  'successor-waits': 'a successor is published already and does not sign yet',
}

/** Says what was due, or asked for, and did not happen: what is left undone long enough ends the CA. */
export function logBlocked(log: AuthorityLog, { blocked, failures }: Pick<Advanced, 'blocked' | 'failures'>) {
  for (const code of new Set(blocked)) {
    const reason = code === 'successor-failed' ? failures.join('; ') : REASONS[code]
    log({ event: 'rotation.blocked', level: 'error', code, reason })
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
