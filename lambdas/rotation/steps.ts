// The four steps of a rotation (Secrets Manager User Guide, "Lambda rotation functions"). Each may run twice, and the
// process may die between any two calls: what a step finds done it leaves, and what it cannot finish rightly it gives up
// openly, so that the next rotation begins anew. Only finishSecret changes what anybody signs with.
import { SallyportError } from '../../common/errors.ts'
import { advance, type CaTools, giveBirth } from '../identity/authority/advance.ts'
import {
  type AuthorityDocument,
  formatAuthorityDocument,
  parseAuthorityDocument,
  UNBORN,
} from '../identity/authority/document.ts'
import { type AuthorityLog, messageOf } from '../identity/log.ts'
import {
  dropPending,
  type IssuingSecret,
  makeCurrent,
  readCurrent,
  readPending,
  readStages,
  writePending,
} from './secret.ts'

export type RotationErrorCode =
  | 'rotation-disabled'
  | 'rotation-token-unknown'
  | 'rotation-not-pending'
  | 'rotation-base-moved'
  | 'rotation-too-late'
  | 'rotation-test-failed'
  | 'rotation-event'
  | 'rotation-environment'

export class RotationError extends SallyportError<RotationErrorCode> {}

/** Throws where the pending document must not become current. `current` is null at birth. */
export type CheckPending = (
  pending: AuthorityDocument,
  current: AuthorityDocument | null,
  now: Date,
) => Promise<void>

export interface RotationOptions extends IssuingSecret {
  /** The ClientRequestToken: the id of the version that is to be. */
  readonly token: string
  readonly tools: CaTools
  readonly check: CheckPending
  readonly clock: () => Date
  readonly log: AuthorityLog
}

type StageOfToken = 'current' | 'pending'

/** As AWS's own rotation templates check first. */
async function stageOfToken(options: RotationOptions): Promise<StageOfToken> {
  const versions = await readStages(options)
  if (versions === null)
    throw new RotationError('rotation-disabled', 'rotation is not enabled for the secret')
  const stages = versions[options.token]
  if (stages === undefined)
    throw new RotationError('rotation-token-unknown', 'the secret has no such version')
  if (stages.includes('AWSCURRENT')) return 'current'
  if (stages.includes('AWSPENDING')) return 'pending'
  throw new RotationError('rotation-not-pending', 'the version is neither pending nor current')
}

/** The document that is current; null before birth. Anything else that cannot be read throws and touches nothing. */
function parseCurrent(text: string): AuthorityDocument | null {
  return text === UNBORN ? null : parseAuthorityDocument(text)
}

/** Puts the next document beside the current one. */
export async function createSecret(options: RotationOptions): Promise<void> {
  if ((await stageOfToken(options)) === 'current') return
  if ((await readPending(options, options.token)) !== null) return
  const { text, versionId } = await readCurrent(options)
  const current = parseCurrent(text)
  const now = options.clock()
  const next =
    current === null
      ? await giveBirth(options.tools, now)
      : (await advance(current, options.tools, { now })).document
  await writePending(options, options.token, formatAuthorityDocument({ ...next, basedOn: versionId }))
}

/** Nothing outside the secret holds the CA's state. */
export async function setSecret(options: RotationOptions): Promise<void> {
  await stageOfToken(options)
}

async function readPendingDocument(options: RotationOptions): Promise<AuthorityDocument> {
  const text = await readPending(options, options.token)
  if (text === null) throw new RotationError('rotation-not-pending', 'the pending version has no value yet')
  return parseAuthorityDocument(text)
}

/** Gives the pending version up, since it would stand in the way of every later rotation, and says why. */
async function abandon(options: RotationOptions, error: RotationError): Promise<never> {
  options.log({ event: 'rotation.abandoned', level: 'error', code: error.code, reason: error.message })
  await dropPending(options, options.token)
  throw error
}

/** Signs and verifies with the pending document, as its readers and those of the current one would. */
export async function testSecret(options: RotationOptions): Promise<void> {
  if ((await stageOfToken(options)) === 'current') return
  const { text } = await readCurrent(options)
  const current = parseCurrent(text)
  const pending = await readPendingDocument(options)
  try {
    await options.check(pending, current, options.clock())
  } catch (error) {
    const failed = new RotationError('rotation-test-failed', messageOf(error), { cause: error })
    await abandon(options, failed)
  }
}

/** Whether a key that is published only now would be used before verifiers had the time that was meant for them. */
function isTooLate(pending: AuthorityDocument, current: AuthorityDocument, now: Date): boolean {
  const known = new Set([
    ...current.roots.map(({ certificate }) => certificate),
    ...current.jwtKeys.map(({ kid }) => kid),
  ])
  const published = [
    ...pending.roots.filter(({ certificate }) => !known.has(certificate)),
    ...pending.jwtKeys.filter(({ kid }) => !known.has(kid)),
  ]
  const latest = now.getTime() - pending.refreshHint * 1000
  return published.some(({ publishedAt }) => Date.parse(publishedAt) < latest)
}

/** Makes the pending document current. */
export async function finishSecret(options: RotationOptions): Promise<void> {
  if ((await stageOfToken(options)) === 'current') return
  const pending = await readPendingDocument(options)
  const { text, versionId } = await readCurrent(options)
  if (pending.basedOn !== versionId) {
    const moved = new RotationError('rotation-base-moved', 'another rotation was faster')
    return abandon(options, moved)
  }
  const current = parseCurrent(text)
  if (current !== null && isTooLate(pending, current, options.clock())) {
    const late = new RotationError('rotation-too-late', 'its new keys were to be published earlier')
    return abandon(options, late)
  }
  await makeCurrent(options, options.token, versionId)
  options.log({ event: 'rotation.finished', level: 'info', sequence: pending.sequence })
}
