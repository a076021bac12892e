// The authority both ways that it runs: on a socket, and as Lambda handler behind an HTTP API; one CA, one configuration
// and one issuer for both.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { loadIdentityConfig } from '../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../lambdas/identity/environment.ts'
import { handler } from '../../../lambdas/identity/handler.ts'
import type { LogRecord } from '../../../lambdas/identity/log.ts'
import { startAuthority } from '../../../lambdas/identity/server.ts'
import { type ApiAnswer, type ApiRequest, callHttpApi } from '../../fakes/http-api.ts'
import { goodClaims, type RunningFakeIssuer, startFakeOidcIssuer } from '../../fakes/oidc-issuer.ts'

export const AUDIENCE = 'https://identity.example.org'

export type Way = 'socket' | 'Lambda'

export interface BothWays extends AsyncDisposable {
  readonly issuer: RunningFakeIssuer
  /** Of the one on the socket. */
  readonly address: string
  /** What the one on the socket logged. */
  readonly log: readonly LogRecord[]
  /** A token that is good but for these claims; `undefined` removes one. */
  token(claims?: Readonly<Record<string, unknown>>): Promise<string>
  send(way: Way, request: ApiRequest): Promise<ApiAnswer>
  post(way: Way, body: unknown, token: string | null): Promise<ApiAnswer>
  issuances(): Promise<readonly Record<string, unknown>[]>
}

const config = (issuer: string) => `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs:
  oidc:
    - {name: main, issuer: "${issuer}", maxTokenAge: 10m, reuse: sameKey}
registrations:
  - name: workload
    spiffeId: "spiffe://example.org/{team}/{service}"
    match: {oidc: main, claims: {kind: workload}}
    x509: {ttl: 1h}
  - {name: one, spiffeId: spiffe://example.org/one, match: {oidc: main, claims: {kind: twice}}}
  - {name: two, spiffeId: spiffe://example.org/two, match: {oidc: main, claims: {kind: twice}}}
issuances: {store: "file:issuances.jsonl"}
`

/** The handler reads its configuration once per process, so there is one of these per test file. */
export async function startBothWays(): Promise<BothWays> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-authority-'))
  const issuer = await startFakeOidcIssuer()
  const file = path.join(directory, 'identity.yaml')
  const text = config(issuer.issuer)
  await writeFile(file, text)
  const environment = { SALLYPORT_DEV: '1', SALLYPORT_IDENTITY_CONFIG: file }
  const log: LogRecord[] = []
  const server = await startAuthority({
    config: loadIdentityConfig({ file, text, environment: readIdentityEnvironment(environment) }),
    address: '127.0.0.1:0',
    log: (record) => log.push(record),
  })
  Object.assign(process.env, environment)
  const send = (way: Way, request: ApiRequest) =>
    way === 'Lambda' ? callHttpApi(handler, request) : callSocket(server.address, request)
  return {
    issuer,
    address: server.address,
    log,
    token: (claims = {}) => {
      const merged = Object.entries({
        ...goodClaims(issuer.issuer, AUDIENCE, new Date()),
        ...{ kind: 'workload', team: 'payments', service: 'api' },
        ...claims,
      })
      return issuer.sign(Object.fromEntries(merged.filter(([, value]) => value !== undefined)))
    },
    send,
    post: (way, body, token) =>
      send(way, {
        method: 'POST',
        path: '/v1/svid/x509',
        headers: {
          'Content-Type': 'application/json',
          ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    issuances: async () =>
      (await readFile(path.join(directory, 'issuances.jsonl'), 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await issuer[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function callSocket(address: string, request: ApiRequest): Promise<ApiAnswer> {
  const [host = '', port = ''] = address.split(':')
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        host,
        port: Number(port),
        method: request.method,
        path: request.path,
        headers: { ...(request.headers as http.OutgoingHttpHeaders) },
        agent: false,
      },
      (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString()
        })
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string>,
            body,
          }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(request.body)
  })
}
