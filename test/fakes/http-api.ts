// An API Gateway HTTP API (payload format 2.0) in front of a Lambda handler, without AWS: it makes the event that AWS
// makes of a request, and refuses answers that AWS refuses. Format: "Working with AWS Lambda proxy integrations for HTTP
// APIs" in the API Gateway developer guide.
import type { handler as identityHandler } from '../../lambdas/identity/handler.ts'

export interface ApiRequest {
  readonly method: string
  readonly path: string
  /** Names in any case; repeated ones as a list. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Buffer
}

export interface ApiAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

type Handler = typeof identityHandler

/** What AWS passes as text; every other type of body comes as base64. */
const TEXT = /^(?:text\/|application\/(?:json|xml|javascript))/

/** The event for a request, as AWS makes it: header names in lower case, repeated ones joined by a comma. */
export function httpApiEvent(request: ApiRequest): Record<string, unknown> {
  const [rawPath = '', rawQueryString = ''] = request.path.split('?')
  const headers = Object.fromEntries(
    Object.entries(request.headers ?? {}).map(([name, value]) => [
      name.toLowerCase(),
      [value].flat().join(','),
    ]),
  )
  const body = request.body === undefined ? undefined : Buffer.from(request.body)
  const asText = TEXT.test(headers['content-type'] ?? '')
  if (body !== undefined) headers['content-length'] = String(body.length)
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString,
    headers: { host: 'identity.example.org', 'x-forwarded-proto': 'https', ...headers },
    requestContext: {
      accountId: '111122223333',
      apiId: 'api123',
      domainName: 'identity.example.org',
      domainPrefix: 'identity',
      http: {
        method: request.method,
        path: rawPath,
        protocol: 'HTTP/1.1',
        sourceIp: '203.0.113.7',
        userAgent: 'test',
      },
      requestId: 'JKJaXmPLvHcESHA=',
      routeKey: '$default',
      stage: '$default',
      time: '24/Nov/2026:12:00:00 +0000',
      timeEpoch: 1_795_521_600_000,
    },
    ...(body === undefined ? {} : { body: body.toString(asText ? 'utf8' : 'base64') }),
    isBase64Encoded: body !== undefined && !asText,
  }
}

/** Sends a request through the handler. Throws where AWS would answer 500 for the handler's malformed answer. */
export async function callHttpApi(handler: Handler, request: ApiRequest): Promise<ApiAnswer> {
  const event = httpApiEvent(request) as unknown as Parameters<Handler>[0]
  const result: unknown = await handler(event)
  if (typeof result !== 'object' || result === null) throw new TypeError('the handler gave no object')
  const { statusCode, headers, body, isBase64Encoded, ...rest } = result as Record<string, unknown>
  for (const name of Object.keys(rest))
    if (name !== 'cookies' && name !== 'multiValueHeaders') throw new TypeError(`AWS knows no ${name}`)
  if (typeof statusCode !== 'number' || typeof body !== 'string') throw new TypeError('malformed answer')
  return {
    status: statusCode,
    headers: headers as Record<string, string>,
    body: isBase64Encoded === true ? Buffer.from(body, 'base64').toString() : body,
  }
}
