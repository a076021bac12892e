// From a Lambda event to a request and back. Who may invoke the function directly can send anything as an event: what no
// request can be made of is answered like every other malformed request, and never fails the invocation.
import type { Hono } from 'hono/tiny'
import { handle } from 'hono/aws-lambda'
import type { IdentityEnv } from './app-env.ts'
import { ProblemError, problemResponse, toProblem } from './problem.ts'

async function malformed() {
  const response = problemResponse(toProblem(new ProblemError('request-malformed')))
  const headers = Object.fromEntries(response.headers)
  return { statusCode: response.status, headers, body: await response.text(), isBase64Encoded: false }
}

/** A value that no header can have: the adapter would log it in full, and it may be a token. */
function hasUnfitHeader(event: Parameters<Handler>[0]): boolean {
  const { headers, multiValueHeaders } = event as unknown as Readonly<Record<string, unknown>>
  const values = [headers, multiValueHeaders].flatMap((object) => Object.values(object ?? {}).flat())
  return values.some((value) => typeof value === 'string' && /[\0\r\n]/.test(value))
}

type Handler = ReturnType<typeof handle<IdentityEnv>>

/** The handler of a Lambda function for the app. */
export function createLambdaHandler(app: Hono<IdentityEnv>): Handler {
  // All answers are text: without this the adapter would send PEM as base64.
  const adapter = handle(app, { isContentTypeBinary: () => false })
  const answer = async (...[event, context]: Parameters<Handler>): Promise<unknown> => {
    try {
      if (hasUnfitHeader(event)) return await malformed()
      const result = await adapter(event, context)
      // The adapter's own words, where it could make no request of the event: the app never answers in plain text.
      const type = String(result.headers?.['content-type'])
      return type.startsWith('text/plain') ? await malformed() : result
    } catch {
      return malformed()
    }
  }
  return answer as Handler
}
