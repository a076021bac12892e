// The version that is to become current: where it stands, what it holds, and when it is given up.
import type { CaTools } from '../identity/authority/advance.ts'
import { type AuthorityDocument, parseAuthorityDocument, UNBORN } from '../identity/authority/document.ts'
import { isPublishedTooLate } from '../identity/authority/publication.ts'
import { messageOf } from '../identity/log.ts'
import { RotationError, type RotationOptions } from './rotation.ts'
import { describeSecret, dropPending, readCurrent, readPending, type SecretVersion } from './secret.ts'

/**
 * A pending document is made current within minutes. One that waited longer would bring an issuing CA that has used up
 * much of its life, in place of the one that the next rotation makes.
 */
export const MAX_PENDING_MS = 4 * 3_600_000

/** As AWS's own rotation templates check first. */
export async function describePending(options: RotationOptions) {
  const { stages: versions, tags } = await describeSecret(options)
  if (versions === null)
    throw new RotationError('rotation-disabled', 'rotation is not enabled for the secret')
  const stages = versions[options.token]
  if (stages === undefined)
    throw new RotationError('rotation-token-unknown', 'the secret has no such version')
  if (stages.includes('AWSCURRENT')) return { stage: 'current' as const, tags }
  if (stages.includes('AWSPENDING')) return { stage: 'pending' as const, tags }
  throw new RotationError('rotation-not-pending', 'the version is neither pending nor current')
}

export interface Current extends SecretVersion {
  /** Null before birth. */
  readonly document: AuthorityDocument | null
}

/** What is current. Anything that cannot be read throws and touches nothing. */
export async function readCurrentDocument(options: RotationOptions): Promise<Current> {
  const found = await readCurrent(options)
  return { ...found, document: found.text === UNBORN ? null : parseAuthorityDocument(found.text) }
}

/** Gives the pending version up, since it would stand in the way of every later rotation, and says why. */
export async function abandon(options: RotationOptions, error: RotationError): Promise<never> {
  options.log({ event: 'rotation.abandoned', level: 'error', code: error.code, reason: error.message })
  await dropPending(options, options.token)
  throw error
}

/** The pending document; null where the version has no value yet. */
export async function readPendingDocument(options: RotationOptions): Promise<AuthorityDocument | null> {
  const text = await readPending(options, options.token)
  if (text === null) return null
  try {
    return parseAuthorityDocument(text)
  } catch (error) {
    // A version keeps its content, so that no later try could read it either.
    return abandon(options, new RotationError('rotation-test-failed', messageOf(error), { cause: error }))
  }
}

/** Whether a key that is published only now would be used before verifiers had the time that was meant for them. */
function publishesTooLate(pending: AuthorityDocument, current: AuthorityDocument, now: Date): boolean {
  const known = new Set([
    ...current.roots.map(({ certificate }) => certificate),
    ...current.jwtKeys.map(({ kid }) => kid),
  ])
  const published = [
    ...pending.roots.filter(({ certificate }) => !known.has(certificate)),
    ...pending.jwtKeys.filter(({ kid }) => !known.has(kid)),
  ]
  return published.some(({ publishedAt }) => isPublishedTooLate(publishedAt, pending.refreshHint, now))
}

function waitedTooLong(pending: AuthorityDocument, current: Current, tools: CaTools, now: Date): boolean {
  if (pending.issuing.chain === current.document?.issuing.chain) return false
  try {
    return now.getTime() - tools.facts(pending).issuing.beganAt > MAX_PENDING_MS
  } catch {
    // Not one of ours: testSecret finds out what is wrong with it, and gives it up.
    return false
  }
}

/** Gives up what has become wrong while it waited. What a version holds cannot change: the next rotation begins anew. */
export async function checkInTime(
  options: RotationOptions,
  pending: AuthorityDocument,
  current: Current,
): Promise<void> {
  const now = options.clock()
  if (pending.basedOn !== current.versionId) {
    await abandon(options, new RotationError('rotation-base-moved', 'another rotation was faster'))
  }
  if (current.document !== null && publishesTooLate(pending, current.document, now)) {
    const reason = 'its new keys were to be published earlier'
    await abandon(options, new RotationError('rotation-too-late', reason))
  }
  if (waitedTooLong(pending, current, options.tools, now)) {
    await abandon(options, new RotationError('rotation-too-late', 'its issuing CA was made hours ago'))
  }
}
