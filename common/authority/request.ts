// One bounded HTTP request to the authority, trusting the CA that the operator named, or the system's.
import http from 'node:http'
import https from 'node:https'
import { IdentityFetchError } from './errors.ts'

const TIMEOUT_MS = 15_000
const MAX_ANSWER_BYTES = 512 * 1024

export interface AuthorityRequest {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** PEM; null = the system's roots. */
  readonly ca: string | null
  readonly signal?: AbortSignal
}

export interface AuthorityAnswer {
  readonly status: number
  readonly body: string
}

/** How the client reaches the authority; another one can be put in its place. */
export type AuthorityFetch = (request: AuthorityRequest) => Promise<AuthorityAnswer>

async function readAnswer(message: http.IncomingMessage): Promise<AuthorityAnswer> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of message as AsyncIterable<Buffer>) {
    size += part.length
    if (size > MAX_ANSWER_BYTES) throw new Error('the answer is over 512 KiB')
    parts.push(part)
  }
  return { status: message.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }
}

/**
 * Sends a request; redirects are answers like any other.
 * @throws IdentityFetchError `authority-unreachable`
 */
export const requestAuthority: AuthorityFetch = async (wanted) => {
  const url = new URL(wanted.url)
  const { promise, resolve, reject } = Promise.withResolvers<AuthorityAnswer>()
  const options = {
    method: wanted.method,
    headers: { ...wanted.headers },
    agent: false,
    signal: AbortSignal.any([
      AbortSignal.timeout(TIMEOUT_MS),
      ...(wanted.signal === undefined ? [] : [wanted.signal]),
    ]),
    ...(wanted.ca === null ? {} : { ca: wanted.ca }),
  }
  try {
    const request = (url.protocol === 'https:' ? https : http).request(url, options)
    request.on('response', (message) => {
      readAnswer(message).then(resolve, reject)
    })
    request.on('error', reject)
    request.end(wanted.body ?? undefined)
    return await promise
  } catch (error) {
    const reason = error instanceof Error ? error.message || error.name : String(error)
    throw new IdentityFetchError('authority-unreachable', `${url.origin}: ${reason}`, { cause: error })
  }
}
