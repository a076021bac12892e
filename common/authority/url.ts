// The authority's URL, as the operator names it, and the audience that follows from it. The audience is never taken
// from the network: who answered at a wrong URL could name another service, and be given a proof that is good there.
import { IdentityFetchError } from './errors.ts'
import type { AuthorityFetch } from './request.ts'

/**
 * https, or http on loopback.
 * @throws IdentityFetchError `authority-url`
 */
export function readAuthorityUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.username !== '' || url.password !== '' || /[?#]/.test(text)) {
    throw new IdentityFetchError('authority-url', `expected the authority's URL, found ${text}`)
  }
  const loopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) return url
  throw new IdentityFetchError('authority-url', `${text}: tokens are sent by https alone, or to loopback`)
}

export function routeOf(base: URL, route: string): string {
  return new URL(`${base.pathname.replace(/\/$/, '')}${route}`, base).href
}

/** The authority's audience is its issuer unless configured otherwise, and an issuer has no slash at its end. */
export function defaultAudience(base: URL): string {
  return base.href.replace(/\/$/, '')
}

/**
 * For a proof that was refused: what the authority calls itself, where that is not what the proof was made for. It is
 * told and not used.
 */
export async function findOtherIssuer(
  base: URL,
  audience: string,
  ask: AuthorityFetch,
  ca: string | null,
): Promise<string | null> {
  try {
    const url = routeOf(base, '/.well-known/openid-configuration')
    const { status, body } = await ask({ url, method: 'GET', headers: {}, body: null, ca })
    const { issuer } = (status === 200 ? JSON.parse(body) : {}) as { readonly issuer?: unknown }
    if (typeof issuer !== 'string' || issuer === audience) return null
    return /^[\x21-\x7e]{1,1000}$/.test(issuer) ? issuer : null
  } catch {
    // It is a hint: what the proof was refused with is the error.
    return null
  }
}
