// What a caller is told when something is refused: RFC 9457 problem documents, from one table. Messages of our errors
// stay inside, but for those that are about the caller's own request after he proved who he is.
import { SallyportError } from '../../common/errors.ts'
import { AuthorityError } from './authority/document.ts'
import { CsrError } from './mint/csr-error.ts'
import { LifetimeError } from './mint/lifetime.ts'
import { SelfCheckError } from './mint/self-check.ts'
import { ProofError } from './proofs/proof.ts'
import { RegistrationError } from './registrations/registration.ts'

/** Status and title of each code. */
export const PROBLEMS = {
  'proof-refused': [401, 'The proof of identity was refused.'],
  'credentials-expiring': [
    401,
    'Your AWS credentials end in less than five minutes: refresh them and try again.',
  ],
  'registration-refused': [403, 'No registration gives this caller what was asked for.'],
  'registration-ambiguous': [409, 'More than one registration matches: name one of them as "registration".'],
  'csr-refused': [400, 'The certificate request was refused.'],
  'request-malformed': [400, 'The request cannot be read.'],
  'request-too-large': [413, 'The request is too large.'],
  'request-timeout': [408, 'The request did not come to its end in time.'],
  'headers-too-large': [431, 'The headers are too large.'],
  'request-media-type': [415, 'The body must be application/json.'],
  'not-found': [404, 'There is nothing here.'],
  'method-not-allowed': [405, 'This method is not available here.'],
  'authority-unavailable': [503, 'The authority cannot sign at the moment.'],
  'replay-store-unavailable': [503, 'Used proofs cannot be looked up at the moment.'],
  'issuance-record-unavailable': [503, 'The issuance could not be recorded, so nothing was issued.'],
  'rate-limited': [429, 'Too many requests: wait a minute.'],
  'rate-counter-unavailable': [503, 'Requests cannot be counted at the moment.'],
  'internal-error': [500, 'Something went wrong here.'],
} as const satisfies Record<string, readonly [number, string]>

export type ProblemCode = keyof typeof PROBLEMS

/** A refusal that is already in the words of the outside. */
export class ProblemError extends SallyportError<ProblemCode> {
  readonly detail: string | null

  constructor(code: ProblemCode, options: { readonly detail?: string; readonly cause?: unknown } = {}) {
    super(code, options.detail ?? PROBLEMS[code][1], { cause: options.cause })
    this.detail = options.detail ?? null
  }
}

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ProblemCode
  readonly detail?: string
  /** With `registration-ambiguous`: those that match. */
  readonly registrations?: readonly string[]
}

function problem(code: ProblemCode, more: Pick<Problem, 'detail' | 'registrations'> = {}): Problem {
  const [status, title] = PROBLEMS[code]
  return { type: `urn:sallyport:problem:${code}`, title, status, code, ...more }
}

/** The problem document for whatever was thrown; an error that is not ours tells nothing of itself. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) {
    return problem(error.code, error.detail === null ? {} : { detail: error.detail })
  }
  if (error instanceof ProofError) return problem('proof-refused')
  if (error instanceof CsrError) return problem('csr-refused', { detail: error.message })
  if (error instanceof RegistrationError) {
    return error.code === 'registration-ambiguous'
      ? problem('registration-ambiguous', { registrations: error.names })
      : problem('registration-refused')
  }
  if (error instanceof LifetimeError && error.code === 'lifetime-proof-ends') return problem('proof-refused')
  if (error instanceof LifetimeError || error instanceof AuthorityError || error instanceof SelfCheckError) {
    return problem('authority-unavailable')
  }
  return problem('internal-error')
}

/** The answer that carries it. */
export function problemResponse(found: Problem): Response {
  const headers = new Headers({
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
  })
  if (found.status === 429) headers.set('retry-after', '60')
  if (found.status === 401) headers.set('www-authenticate', 'Bearer')
  return new Response(JSON.stringify(found), { status: found.status, headers })
}
