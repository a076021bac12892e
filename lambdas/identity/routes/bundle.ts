// The trust bundle of the authority's own trust domain, for whoever asks: it holds public certificates alone.
import type { Context } from 'hono'
import type { IdentityEnv } from '../app-env.ts'
import type { AuthorityState } from '../authority/state.ts'
import type { IdentityAppOptions } from '../options.ts'

/**
 * A fifth of the refresh hint: caches on the way then never hold back a new root for long. `Age` (RFC 9111 §5.1) counts
 * from when the CA document was last read, so that one that could not be read anew for an hour says so.
 */
export function cacheHeaders(
  state: AuthorityState,
  contentType: string,
  { authority, clock }: Pick<IdentityAppOptions, 'authority' | 'clock'>,
): Record<string, string> {
  const seconds = Math.floor((state.bundle.refreshHintSeconds ?? 0) / 5)
  const age = Math.max(0, Math.floor((clock().getTime() - authority.readAt().getTime()) / 1000))
  return { 'content-type': contentType, 'cache-control': `max-age=${seconds}`, age: String(age) }
}

/** GET /v1/bundle: the SPIFFE bundle (JWKS). */
export function createBundleRoute(options: Pick<IdentityAppOptions, 'authority' | 'clock'>) {
  return async function getBundle(context: Context<IdentityEnv>): Promise<Response> {
    const state = await options.authority.current()
    return context.body(state.bundleText, 200, cacheHeaders(state, 'application/json', options))
  }
}

/** GET /v1/bundle.pem: the X.509 roots (the type is that of RFC 8555 §9.1). */
export function createBundlePemRoute(options: Pick<IdentityAppOptions, 'authority' | 'clock'>) {
  return async function getBundlePem(context: Context<IdentityEnv>): Promise<Response> {
    const state = await options.authority.current()
    return context.body(
      state.bundlePem,
      200,
      cacheHeaders(state, 'application/pem-certificate-chain', options),
    )
  }
}
