// An OIDC issuer that misbehaves on demand: it redirects, stalls, grows without end, fails, lies about its name, and
// signs whatever it is asked to. It counts every request, since what must not be asked is as important as what is.
import { createServer, type ServerResponse } from 'node:http'
import { CompactSign, exportJWK, generateKeyPair } from 'jose'

export type Misbehaviour =
  | { readonly kind: 'document'; readonly document: unknown }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'redirect'; readonly status: number; readonly to: string }
  | { readonly kind: 'stall' }
  | { readonly kind: 'grow' }

export interface SignOptions {
  /** Merged into `{alg, kid, typ}`; `undefined` removes one. */
  readonly header?: Readonly<Record<string, unknown>>
  /** The payload's exact text instead of the claims. */
  readonly text?: string
}

export interface FakeIssuer {
  readonly issuer: string
  readonly algorithm: string
  readonly kid: string
  /** The public key as published. */
  readonly jwk: Readonly<Record<string, unknown>>
  /** Requests so far, by path. */
  readonly requests: ReadonlyMap<string, number>
  readonly total: number
  /** Instead of the document at that path; null = behave again. */
  misbehave(path: string, how: Misbehaviour | null): void
  sign(claims: Readonly<Record<string, unknown>>, options?: SignOptions): Promise<string>
  /** What is answered at a path; counts as a request. */
  answer(path: string): Misbehaviour
}

export const DISCOVERY_PATH = '/.well-known/openid-configuration'
export const KEYS_PATH = '/keys'

export interface FakeIssuerOptions {
  readonly algorithm?: string
  readonly kid?: string
}

/** An issuer without a socket; `answer` and `fetchOf` speak for it. */
export async function createFakeIssuer(issuer: string, options: FakeIssuerOptions = {}): Promise<FakeIssuer> {
  const { algorithm = 'ES256', kid = 'key-1' } = options
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' }
  const requests = new Map<string, number>()
  const misbehaviours = new Map<string, Misbehaviour>()
  const documents = new Map<string, unknown>([
    [DISCOVERY_PATH, { issuer, jwks_uri: `${issuer}${KEYS_PATH}` }],
    [KEYS_PATH, { keys: [jwk] }],
  ])
  return {
    issuer,
    algorithm,
    kid,
    jwk,
    requests,
    get total() {
      return [...requests.values()].reduce((sum, count) => sum + count, 0)
    },
    misbehave(path, how) {
      if (how === null) misbehaviours.delete(path)
      else misbehaviours.set(path, how)
    },
    sign(claims, { header = {}, text } = {}) {
      const payload = new TextEncoder().encode(text ?? JSON.stringify(claims))
      const merged = Object.entries({ alg: algorithm, kid, typ: 'JWT', ...header })
      const kept = Object.fromEntries(merged.filter(([, value]) => value !== undefined))
      return new CompactSign(payload)
        .setProtectedHeader({ alg: algorithm, ...kept })
        .sign(privateKey, { crit: { 'urn:example:must': true } })
    },
    answer(path) {
      requests.set(path, (requests.get(path) ?? 0) + 1)
      const found = misbehaviours.get(path)
      if (found !== undefined) return found
      return documents.has(path)
        ? { kind: 'document', document: documents.get(path) }
        : { kind: 'status', status: 404 }
    },
  }
}

/** The claims of a token that a well-behaved caller shows; times in seconds from `now`. */
export function goodClaims(issuer: string, audience: string, now: Date): Record<string, unknown> {
  const seconds = Math.floor(now.getTime() / 1000)
  return {
    iss: issuer,
    aud: audience,
    sub: 'workload',
    iat: seconds,
    exp: seconds + 300,
    jti: crypto.randomUUID(),
  }
}

function endless(): ReadableStream<Uint8Array> {
  const part = new TextEncoder().encode(' '.repeat(16 * 1024))
  return new ReadableStream({ pull: (controller) => controller.enqueue(part) })
}

/** A fetch that reaches these issuers alone, without a socket. */
export function fetchOf(...issuers: readonly FakeIssuer[]) {
  return async (url: string, init: { readonly signal: AbortSignal }): Promise<Response> => {
    const issuer = issuers.find((candidate) => url.startsWith(`${candidate.issuer}/`))
    if (issuer === undefined) throw new Error(`nobody may call ${url}`)
    const how = issuer.answer(url.slice(issuer.issuer.length))
    switch (how.kind) {
      case 'document':
        return Response.json(how.document)
      case 'text':
        return new Response(how.text)
      case 'status':
        return new Response(null, { status: how.status })
      case 'redirect':
        return new Response(null, { status: how.status, headers: { location: how.to } })
      case 'grow':
        return new Response(endless())
      case 'stall':
        return new Promise((_resolve, reject) => {
          init.signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
        })
    }
  }
}

async function write(response: ServerResponse, how: Misbehaviour): Promise<void> {
  switch (how.kind) {
    case 'document':
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(how.document))
      return
    case 'text':
      response.writeHead(200).end(how.text)
      return
    case 'status':
      response.writeHead(how.status).end()
      return
    case 'redirect':
      response.writeHead(how.status, { location: how.to }).end()
      return
    case 'stall':
      response.writeHead(200).write('{')
      return
    case 'grow':
      response.writeHead(200)
      for await (const part of endless()) {
        if (response.destroyed) return
        if (!response.write(part))
          await new Promise((resolve) => response.once('drain', resolve).once('close', resolve))
      }
  }
}

export type RunningFakeIssuer = FakeIssuer & AsyncDisposable

/** The same on a loopback port. */
export async function startFakeOidcIssuer(options: FakeIssuerOptions = {}): Promise<RunningFakeIssuer> {
  let fake: FakeIssuer | null = null
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    if (fake !== null) void write(response, fake.answer(request.url ?? ''))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  fake = await createFakeIssuer(`http://127.0.0.1:${port}`, options)
  return Object.assign(fake, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
    },
  })
}
