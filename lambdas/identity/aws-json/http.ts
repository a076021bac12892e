// One POST over HTTPS and its answer as text: kept connections, a time limit for connecting and one for the whole, and a
// cap on what is read.
import http from 'node:http'
import https from 'node:https'
import { urlToHttpOptions } from 'node:url'
import type { Headers } from './signature.ts'

/** A secret is at most 64 KiB, an item 400. */
const MAX_ANSWER_BYTES = 1024 * 1024

export interface HttpAnswer {
  readonly status: number
  readonly errorType: string
  readonly text: string
}

export interface HttpLimits {
  /** Milliseconds. */
  readonly connectionTimeout: number
  readonly requestTimeout: number
}

export interface HttpClient {
  /** @param fresh on a connection of its own: of those that are kept, all may have ended while the function was frozen */
  post(headers: Headers, body: string, fresh: boolean): Promise<HttpAnswer>
  destroy(): void
}

function readAnswer(message: http.IncomingMessage): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
  const parts: Buffer[] = []
  let size = 0
  message.on('data', (part: Buffer) => {
    size += part.length
    if (size > MAX_ANSWER_BYTES) message.destroy(new Error('the answer is over 1 MiB'))
    else parts.push(part)
  })
  message.on('error', reject)
  message.on('end', () => {
    const errorType = String(message.headers['x-amzn-errortype'] ?? '')
    resolve({ status: message.statusCode ?? 0, errorType, text: Buffer.concat(parts).toString() })
  })
  return promise
}

function limitTime(request: http.ClientRequest, limits: HttpLimits): void {
  const fail = (what: string, after: number) =>
    setTimeout(() => {
      request.destroy(new Error(`${what} took over ${after} ms`))
    }, after)
  const whole = fail('the answer', limits.requestTimeout)
  request.on('close', () => clearTimeout(whole))
  request.on('socket', (socket) => {
    if (!socket.connecting) return
    const connecting = fail('connecting', limits.connectionTimeout)
    request.on('close', () => clearTimeout(connecting))
    socket.once('connect', () => clearTimeout(connecting))
  })
}

/** To one origin. Plain HTTP only where the URL says so, as in tests. */
export function createHttpClient(url: URL, limits: HttpLimits): HttpClient {
  const client = url.protocol === 'http:' ? http : https
  const agent = new client.Agent({ keepAlive: true })
  // Read from the URL once: a mint makes three requests.
  const target = { ...urlToHttpOptions(url), method: 'POST' }
  return {
    post(headers, body, fresh) {
      const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
      const request = client.request({ ...target, headers, agent: fresh ? false : agent })
      limitTime(request, limits)
      request.on('error', reject)
      request.on('response', (message) => {
        readAnswer(message).then(resolve, reject)
      })
      request.end(body)
      return promise
    },
    destroy: () => agent.destroy(),
  }
}
