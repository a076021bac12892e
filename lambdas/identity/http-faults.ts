// What is answered to bytes that never become a request: headers without end, methods that nobody knows, targets that
// are no path. The same problem documents as everywhere, so that a client has one way to read a refusal.
import { type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ProblemCode, ProblemError, problemResponse, toProblem } from './problem.ts'

const CODES: Readonly<Record<string, ProblemCode>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
}

function toBytes(code: ProblemCode): string {
  const problem = toProblem(new ProblemError(code))
  const body = JSON.stringify(problem)
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'content-type: application/problem+json',
    'cache-control: no-store',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n')
}

/** For `getRequestListener`: the answer where a request could be parsed and yet has no URL. */
export function refuseRequest(error: unknown): Response {
  const code =
    error instanceof Error && error.name === 'RequestError' ? 'request-malformed' : 'internal-error'
  return problemResponse(toProblem(new ProblemError(code)))
}

/** Answers what Node's parser refuses, and closes the connection. */
export function answerClientErrors(server: Server): void {
  /** Connections with an answer under way, into which another one must not be written. */
  const busy = new WeakSet<Duplex>()
  server.on('request', (request, response) => {
    busy.add(request.socket)
    response.once('close', () => busy.delete(request.socket))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || busy.has(socket) || error.code === 'ECONNRESET') socket.destroy()
    else socket.end(toBytes(CODES[error.code ?? ''] ?? 'request-malformed'))
  })
}
