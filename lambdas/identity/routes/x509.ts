// POST /v1/svid/x509: a proof and a CSR for an X.509-SVID.
import type { Context } from 'hono'
import * as z from 'zod'
import type { IdentityEnv } from '../app-env.ts'
import { type Attempt, type IssuedX509, issueX509 } from '../issue-x509.ts'
import { type LogRecord, messageOf } from '../log.ts'
import { MAX_CSR_BYTES } from '../mint/csr.ts'
import { MIN_TTL_SECONDS } from '../mint/lifetime.ts'
import type { IdentityAppOptions } from '../options.ts'
import { type Problem, problemResponse, toProblem } from '../problem.ts'
import { createOidcVerifier, type OidcVerifier } from '../proofs/oidc.ts'
import { parseBody, readBearer, readBody } from '../request.ts'

const BODY = z.strictObject({
  csr: z.string().min(1).max(MAX_CSR_BYTES),
  /** Only shortens; more than the registration allows means what it allows. */
  ttlSeconds: z.int().min(MIN_TTL_SECONDS).max(86_400).optional(),
  registration: z.string().min(1).max(63).optional(),
})

function describe(attempt: Attempt, requestId: string) {
  const { proof } = attempt
  return {
    requestId,
    provider: proof?.provider.name ?? null,
    issuer: proof?.issuer ?? null,
    subject: proof?.subject ?? null,
    tokenId: proof?.tokenId ?? null,
    registration: attempt.registration ?? null,
    spiffeId: attempt.spiffeId ?? null,
  }
}

function issuedRecord(attempt: Attempt, requestId: string, issued: IssuedX509): LogRecord {
  const { serialNumber, expiresAt } = issued
  return { event: 'svid.issued', level: 'info', ...describe(attempt, requestId), serialNumber, expiresAt }
}

/** The reason that the caller is not told: our error's own code, and of a failure below it the message too. */
function refusedRecord(attempt: Attempt, requestId: string, error: unknown, problem: Problem): LogRecord {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unexpected'
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : null
  return {
    event: 'svid.refused',
    level: problem.status >= 500 ? 'error' : 'warn',
    ...describe(attempt, requestId),
    status: problem.status,
    code,
    reason: messageOf(error),
    cause,
  }
}

async function issue(
  options: IdentityAppOptions,
  verifier: OidcVerifier,
  request: Request,
  context: { readonly attempt: Attempt; readonly requestId: string },
): Promise<IssuedX509> {
  const body = await readBody(request)
  // The proof before the body's content: who cannot prove himself learns nothing of the parser.
  const proof = await verifier.verify(readBearer(request.headers.get('authorization')))
  context.attempt.proof = proof
  return issueX509(options, proof, parseBody(request.headers.get('content-type'), body, BODY), context)
}

/** The handler; it keeps the issuers' keys between requests. */
export function createX509Route(options: IdentityAppOptions) {
  const verifier = createOidcVerifier({
    ...options,
    providers: options.config.providers,
    audience: options.config.audience,
    ...(options.fetchTimeoutMs === undefined ? {} : { timeoutMs: options.fetchTimeoutMs }),
  })
  return async function postX509(context: Context<IdentityEnv>): Promise<Response> {
    const attempt: Attempt = {}
    const requestId = context.get('requestId')
    try {
      const issued = await issue(options, verifier, context.req.raw, { attempt, requestId })
      options.log(issuedRecord(attempt, requestId, issued))
      return context.json(issued, 201, { 'cache-control': 'no-store' })
    } catch (error) {
      const problem = toProblem(error)
      options.log(refusedRecord(attempt, requestId, error, problem))
      return problemResponse(problem)
    }
  }
}
