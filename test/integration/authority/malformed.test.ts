// What never becomes a request: raw bytes on a socket, and events that AWS did not make. Each is answered by a problem
// document, or the connection ends; no invocation fails.
import net from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createCsr } from '../../unit/lambdas/identity/support.ts'
import { httpApiEvent } from '../../fakes/http-api.ts'
import { handler } from '../../../lambdas/identity/handler.ts'
import { type BothWays, startBothWays } from './both-ways.ts'

let authority: BothWays
beforeAll(async () => {
  authority = await startBothWays()
})
afterAll(() => authority[Symbol.asyncDispose]())

/** Sends bytes and gives what came until the connection ended. */
async function sendRaw(text: string): Promise<string> {
  const [host = '', port = ''] = authority.address.split(':')
  const socket = net.connect({ host, port: Number(port) })
  socket.on('error', () => undefined)
  socket.write(text)
  const { data } = await readToEnding(socket)
  return data.toString('latin1')
}

function readAnswer(text: string) {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const [status = '', ...headers] = head.split('\r\n')
  const type = headers.find((line) => /^content-type:/i.test(line))?.split(': ')[1]
  return { status: Number(status.split(' ')[1]), type, code: (JSON.parse(body) as { code: string }).code }
}

const HOST = 'Host: identity.example.org\r\nConnection: close\r\n'

describe('on a socket', () => {
  test.for<[string, string, number, string]>([
    [
      'headers over 24 KiB',
      `GET /v1/bundle HTTP/1.1\r\n${HOST}x: ${'a'.repeat(30_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
    ['a method that nobody knows', `FOO /v1/bundle HTTP/1.1\r\n${HOST}\r\n`, 400, 'request-malformed'],
    ['no HTTP', 'hello\r\n\r\n', 400, 'request-malformed'],
    ['HTTP/2 that nobody offered', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'request-malformed'],
    [
      'two lengths',
      `POST /v1/svid/x509 HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
      400,
      'request-malformed',
    ],
    [
      'a length beside chunks',
      `POST /v1/svid/x509 HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      'request-malformed',
    ],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 400, 'request-malformed'],
    ['no Host', 'GET /v1/bundle HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'request-malformed'],
    [
      'a Host that is none',
      'GET /v1/bundle HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n',
      400,
      'request-malformed',
    ],
    ['a method of WebDAV', `PROPFIND /v1/bundle HTTP/1.1\r\n${HOST}\r\n`, 405, 'method-not-allowed'],
    ['TRACE', `TRACE /v1/svid/x509 HTTP/1.1\r\n${HOST}\r\n`, 405, 'method-not-allowed'],
  ])('%s', async ([, bytes, status, code]) => {
    expect(readAnswer(await sendRaw(bytes))).toEqual({ status, type: 'application/problem+json', code })
  })

  test('CONNECT ends the connection', async () => {
    expect(await sendRaw('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n')).toBe('')
  })

  test('the answer to a good request is not replaced by one to the garbage behind it', async () => {
    const body = JSON.stringify({ csr: await createCsr() })
    const head = `POST /v1/svid/x509 HTTP/1.1\r\nHost: identity.example.org\r\nContent-Type: application/json\r\n`
    const token = `Authorization: Bearer ${await authority.token()}\r\n`
    const good = `${head}${token}Content-Length: ${body.length}\r\n\r\n${body}`
    expect(await sendRaw(`${good}FOO / HTTP/1.1\r\n\r\n`)).not.toContain('request-malformed')
  })

  test('chunks that are none are the fault of who sent them', async () => {
    const token = await authority.token()
    const head = `POST /v1/svid/x509 HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nAuthorization: Bearer ${token}\r\n`
    await sendRaw(`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`)
    await expect.poll(() => authority.log.at(-1)).toMatchObject({ event: 'svid.refused', status: 400 })
  })
})

describe('on Lambda', () => {
  const good = httpApiEvent({ method: 'POST', path: '/v1/svid/x509', body: '{}' })
  const invoke = handler as (event: unknown, context: unknown) => Promise<unknown>

  test.for<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['a number', 1],
    ['text', 'GET /'],
    ['a body that is no base64', { ...good, body: '%%%', isBase64Encoded: true }],
    ['a header with a line break', { ...good, headers: { authorization: 'Bearer a\nb' } }],
    ['a header name that is none', { ...good, headers: { 'a b': 'c' } }],
    ['a method that is none', { ...good, requestContext: { http: { method: 'a b' } } }],
    ['no method', { ...good, requestContext: { http: null } }],
    ['a path that is an object', { ...good, rawPath: { toString: null } }],
  ])('an event: %s', async ([, event]) => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const answer = await invoke(event, {})
    expect(said.mock.calls.map((call) => call.map(String).join(' ')).join('\n')).not.toContain('Bearer')
    said.mockRestore()
    expect(answer).toMatchObject({
      statusCode: 400,
      headers: { 'content-type': 'application/problem+json' },
      body: expect.stringContaining('request-malformed'),
    })
  })

  test('an empty object is a request for nothing', async () => {
    expect(await invoke({}, {})).toMatchObject({
      statusCode: 404,
      body: expect.stringContaining('not-found'),
    })
  })
})
