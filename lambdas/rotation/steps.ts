// The four steps of a rotation (Secrets Manager User Guide, "Lambda rotation functions"). Each may run twice, and the
// process may die between any two calls: what a step finds done it leaves, and what it cannot finish rightly it gives up
// openly, so that the next rotation begins anew. Only finishSecret changes what anybody signs with.
import { advance, giveBirth, logBlocked } from '../identity/authority/advance.ts'
import { type AuthorityDocument, formatAuthorityDocument } from '../identity/authority/document.ts'
import { messageOf } from '../identity/log.ts'
import { abandon, checkInTime, describePending, readCurrentDocument, readPendingDocument } from './pending.ts'
import { parseRequest, REQUEST_TAG, type RotationRequest } from './request.ts'
import { RotationError, type RotationOptions } from './rotation.ts'
import { makeCurrent, writePending } from './secret.ts'

/** What is asked for by hand and was not done before. */
function findRequest(
  { log }: RotationOptions,
  tags: ReadonlyMap<string, string>,
  current: AuthorityDocument | null,
): RotationRequest | null {
  const value = tags.get(REQUEST_TAG)
  if (value === undefined) return null
  const request = parseRequest(value)
  if (request === null) {
    // What is due by itself must not wait for an operator's typing.
    const reason = `the tag ${REQUEST_TAG} must be like "root jwt 2026-11-24"`
    log({ event: 'rotation.request-malformed', level: 'error', reason })
  }
  return request?.word === current?.lastRequest ? null : request
}

async function advanceCurrent(
  options: RotationOptions,
  current: AuthorityDocument,
  request: RotationRequest | null,
): Promise<AuthorityDocument> {
  const now = options.clock()
  const advanced = await advance(
    current,
    options.tools,
    request === null ? { now } : { now, wanted: request.wanted },
  )
  logBlocked(options.log, advanced)
  // A new root is worth a rotation: it will sign the issuing CA that nobody can sign today.
  if (advanced.blocked.includes('no-root-may-sign') && advanced.publishedRoot === null) {
    throw new RotationError('rotation-blocked', 'the issuing CA is due, and no root may sign it')
  }
  if (advanced.document === current) {
    options.log({ event: 'rotation.nothing-due', level: 'info', reason: 'nothing was due' })
  }
  return advanced.document
}

/** Puts the next document beside the current one. */
export async function createSecret(options: RotationOptions): Promise<void> {
  const { stage, tags } = await describePending(options)
  if (stage === 'current') return
  const current = await readCurrentDocument(options)
  const earlier = await readPendingDocument(options)
  if (earlier !== null) {
    await checkInTime(options, earlier, current)
    return
  }
  const request = findRequest(options, tags, current.document)
  const next =
    current.document === null
      ? await giveBirth(options.tools, options.clock())
      : await advanceCurrent(options, current.document, request)
  const requested = request === null ? {} : { lastRequest: request.word }
  const text = formatAuthorityDocument({ ...next, ...requested, basedOn: current.versionId })
  await writePending(options, options.token, text)
  if (request !== null)
    options.log({ event: 'rotation.requested', level: 'info', request: tags.get(REQUEST_TAG) ?? '' })
}

/** Nothing outside the secret holds the CA's state. */
export async function setSecret(options: RotationOptions): Promise<void> {
  await describePending(options)
}

async function needPendingDocument(options: RotationOptions): Promise<AuthorityDocument> {
  const pending = await readPendingDocument(options)
  if (pending === null)
    throw new RotationError('rotation-not-pending', 'the pending version has no value yet')
  return pending
}

/** Signs and verifies with the pending document, as its readers and those of the current one would. */
export async function testSecret(options: RotationOptions): Promise<void> {
  if ((await describePending(options)).stage === 'current') return
  const current = await readCurrentDocument(options)
  const pending = await needPendingDocument(options)
  try {
    await options.check(pending, current.document, options.clock())
  } catch (error) {
    const failed = new RotationError('rotation-test-failed', messageOf(error), { cause: error })
    await abandon(options, failed)
  }
}

/** Makes the pending document current. */
export async function finishSecret(options: RotationOptions): Promise<void> {
  if ((await describePending(options)).stage === 'current') return
  const pending = await needPendingDocument(options)
  const current = await readCurrentDocument(options)
  await checkInTime(options, pending, current)
  await makeCurrent(options, options.token, current.versionId)
  options.log({ event: 'rotation.finished', level: 'info', sequence: pending.sequence })
}
