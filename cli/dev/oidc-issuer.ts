// An OIDC issuer for development: discovery, one ES256 key in memory, and tokens for whoever calls `token` in this
// process. It listens on loopback without TLS and asks nobody who he is; nothing in a deployment may trust it.
import { randomUUID } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

export interface DevOidcIssuerOptions {
  /** What its tokens are for, unless their claims say otherwise. Without it each token's claims must. */
  readonly audience?: string
  /** On 127.0.0.1. Default 0: a free one. */
  readonly port?: number
  /** How long a token lives. Default 300. */
  readonly ttlSeconds?: number
  readonly clock?: () => Date
}

export interface DevOidcIssuer extends AsyncDisposable {
  /** The issuer's URL, as in `iss`. */
  readonly issuer: string
  /** A signed token with these claims; `sub` is among them. */
  token(claims: Readonly<Record<string, unknown>> & { readonly sub: string }): Promise<string>
  close(): Promise<void>
}

const ALGORITHM = 'ES256'
const KEY_ID = 'development'

async function createKey() {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM)
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid: KEY_ID, alg: ALGORITHM, use: 'sig' } }
}

function serveDocuments(documents: () => Readonly<Record<string, unknown>>): RequestListener {
  return (request, response) => {
    const document = documents()[request.url ?? '']
    if (request.method !== 'GET' || document === undefined) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
  }
}

/** Starts the issuer; resolves when it listens. */
export async function startDevOidcIssuer(options: DevOidcIssuerOptions): Promise<DevOidcIssuer> {
  const { privateKey, jwk } = await createKey()
  let issuer = ''
  const server = createServer(
    serveDocuments(() => ({
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/jwks` },
      '/jwks': { keys: [jwk] },
    })),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const bound = server.address()
  issuer = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
    })
  }
  return {
    issuer,
    token: (claims) => {
      const now = Math.floor((options.clock?.() ?? new Date()).getTime() / 1000)
      const standard = {
        iss: issuer,
        ...(options.audience === undefined ? {} : { aud: options.audience }),
        iat: now,
        exp: now + (options.ttlSeconds ?? 300),
        jti: randomUUID(),
      }
      return new SignJWT({ ...standard, ...claims })
        .setProtectedHeader({ alg: ALGORITHM, kid: KEY_ID, typ: 'JWT' })
        .sign(privateKey)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
