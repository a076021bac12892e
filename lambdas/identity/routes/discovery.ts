// OpenID Connect discovery and the keys behind it, so that readers that know nothing of SPIFFE (jose, AWS IAM, other
// clouds) verify our JWT-SVIDs. These are the JWT keys of the bundle with `use: sig`: such readers skip `jwt-svid`.
import type { Context } from 'hono'
import type { IdentityEnv } from '../app-env.ts'
import type { AuthorityState } from '../authority/state.ts'
import type { IdentityAppOptions } from '../options.ts'
import { publish } from './bundle.ts'

type Options = Pick<IdentityAppOptions, 'authority' | 'config' | 'clock'>

function keysOf({ jwt }: AuthorityState): string {
  return JSON.stringify({
    keys: jwt.published.map(({ kid, alg, jwk }) => ({ ...jwk, kid, alg, use: 'sig' })),
  })
}

/** GET /v1/jwks (RFC 7517). */
export function createJwksRoute(options: Options) {
  return function getJwks(context: Context<IdentityEnv>): Promise<Response> {
    return publish(context, options, 'application/json', keysOf)
  }
}

/** GET /.well-known/openid-configuration (OpenID Connect Discovery 1.0 §3). There is no login, so no such endpoint. */
export function createDiscoveryRoute({ config }: Options) {
  const base = config.issuer.replace(/\/$/, '')
  const document = {
    issuer: config.issuer,
    jwks_uri: `${base}/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti'],
  }
  return function getDiscovery(context: Context<IdentityEnv>): Response {
    return context.json(document, 200, { 'cache-control': 'max-age=60' })
  }
}
