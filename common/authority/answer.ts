// What the authority answers, as it stands there: an issued SVID, or a problem document. Only the form is judged here; who
// asked verifies the chain before anything of it is used.
import * as z from 'zod'
import { IdentityFetchError, type IdentityFetchErrorCode } from './errors.ts'
import type { AuthorityAnswer } from './request.ts'

const ISSUED = z.object({
  spiffeId: z.string(),
  certificateChain: z.string(),
  bundle: z.string(),
  serialNumber: z.string().regex(/^(?:[0-9a-f]{2}){1,20}$/),
  expiresAt: z.iso.datetime(),
  renewAfter: z.iso.datetime(),
  registration: z.string(),
})

/** Nothing of it is verified. */
export type IssuedAnswer = z.infer<typeof ISSUED>

const PROBLEM = z.object({
  title: z.string().max(500),
  code: z.string().max(100),
  detail: z.string().max(1000).optional(),
  registrations: z.array(z.string().max(100)).max(100).optional(),
})

/** Text of the authority's as it may stand on a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}

/** `credentials-expiring` is a 401 too, and says that what is behind the proof must be renewed, not the proof. */
function codeOf(status: number, code: string | null): IdentityFetchErrorCode {
  if (status >= 500) return 'authority-failed'
  if (code === null) return 'answer-malformed'
  if (status === 403) return 'registration-refused'
  return status === 401 && code !== 'credentials-expiring' ? 'proof-refused' : 'authority-refused'
}

/** The error for an answer that is not the expected one. */
export function readProblem(answer: AuthorityAnswer): IdentityFetchError {
  let json: unknown = null
  try {
    json = JSON.parse(answer.body)
  } catch {
    // Not JSON: then the status says all there is.
  }
  const parsed = PROBLEM.safeParse(json)
  if (!parsed.success) {
    return new IdentityFetchError(
      codeOf(answer.status, null),
      `the authority answered ${answer.status} without a problem document`,
    )
  }
  const { title, code, detail, registrations } = parsed.data
  const more = [detail, registrations?.join(', ')].filter((part) => part !== undefined).join(': ')
  const text = `${code} (${answer.status}): ${title}${more === '' ? '' : ` ${more}`}`
  return new IdentityFetchError(codeOf(answer.status, code), printable(text))
}

/** @throws IdentityFetchError `answer-malformed` */
export function parseIssued(text: string): IssuedAnswer {
  try {
    return ISSUED.parse(JSON.parse(text))
  } catch (error) {
    throw new IdentityFetchError('answer-malformed', "the authority's answer cannot be read", {
      cause: error,
    })
  }
}

/** For what was found wrong with an answer that has the right form. */
export function untrusted(error: unknown): IdentityFetchError {
  const message = error instanceof Error ? error.message : String(error)
  return new IdentityFetchError('answer-untrusted', `the authority's answer is refused: ${message}`, {
    cause: error,
  })
}
