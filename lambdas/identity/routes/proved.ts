// What the routes that need a proof have in common: the attempt that is logged, with the reason that the caller is not
// told, and the answer.
import type { Context } from 'hono'
import type { IdentityEnv } from '../app-env.ts'
import type { Attempt, IssueContext } from '../issue/grant.ts'
import { type LogRecord, messageOf } from '../log.ts'
import type { IdentityAppOptions } from '../options.ts'
import { type Problem, ProblemError, problemResponse, toProblem } from '../problem.ts'

function describe(attempt: Attempt, requestId: string) {
  const { proof } = attempt
  return {
    requestId,
    proof: proof?.kind ?? null,
    provider: proof?.provider ?? null,
    issuer: proof?.issuer ?? null,
    subject: proof?.subject ?? null,
    tokenId: proof?.tokenId ?? null,
    registration: attempt.registration ?? null,
    spiffeId: attempt.spiffeId ?? null,
  }
}

/** The reason that the caller is not told: our error's own code, and of a failure below it the message too. */
function refusedRecord(context: IssueContext, error: unknown, problem: Problem): LogRecord {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unexpected'
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : null
  return {
    event: 'svid.refused',
    level: problem.status >= 500 ? 'error' : 'warn',
    ...describe(context.attempt, context.requestId),
    status: problem.status,
    code,
    reason: messageOf(error),
    cause,
  }
}

/** As the socket or API Gateway names it. A forged event can name any: it is a limit of convenience, not a proof. */
function sourceOf(context: Context<IdentityEnv>): string | null {
  const { incoming, event } = context.env ?? {}
  const { http, identity } = event?.requestContext ?? {}
  const source = incoming?.socket?.remoteAddress ?? http?.sourceIp ?? identity?.sourceIp
  return typeof source === 'string' ? source.slice(0, 64) : null
}

export interface Done<T> {
  readonly status: 200 | 201
  readonly body: T
  /** What the log says of it beside the attempt. */
  readonly record: { readonly event: string; readonly [field: string]: string }
}

/** A handler that answers with what `work` gives, or with the problem of what it throws; both are logged. */
export function createProvedRoute<T extends object>(
  options: Pick<IdentityAppOptions, 'log' | 'sources'>,
  work: (request: Request, context: IssueContext) => Promise<Done<T>>,
) {
  return async function handle(context: Context<IdentityEnv>): Promise<Response> {
    const issue: IssueContext = { attempt: {}, requestId: context.get('requestId') }
    try {
      // Before anything costs: the body is not even read.
      if (!options.sources.take(sourceOf(context))) throw new ProblemError('rate-limited')
      const { status, body, record } = await work(context.req.raw, issue)
      options.log({ level: 'info', ...describe(issue.attempt, issue.requestId), ...record })
      return Response.json(body, { status, headers: { 'cache-control': 'no-store' } })
    } catch (error) {
      const problem = toProblem(error)
      options.log(refusedRecord(issue, error, problem))
      return problemResponse(problem)
    }
  }
}
