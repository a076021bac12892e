// Which URLs an operator may name. They are compared as text later, so each has one form only.
import { isIP } from 'node:net'

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/**
 * What is wrong with an issuer's URL, or null. It is https, without userinfo, query and fragment; in development http on
 * loopback too.
 */
export function findUrlFault(
  text: string,
  options: { readonly dev: boolean; readonly query?: boolean },
): string | null {
  if (!/^[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return `expected a URL, found ${text}`
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'a URL with a user name is refused'
  if (url.hash !== '' || text.includes('#')) return 'a URL with a fragment is refused'
  if (options.query !== true && text.includes('?')) return 'a URL with a query is refused'
  if (url.protocol === 'http:' && isLoopback(url.hostname)) {
    return options.dev ? null : 'http is for loopback with SALLYPORT_DEV=1 alone: use https'
  }
  if (url.protocol !== 'https:') return `expected an https URL, found ${text}`
  // `https://Example.org` and `https://example.org:443` would never equal the `iss` that the issuer writes.
  return text === url.href || `${text}/` === url.href ? null : `write it as ${url.href.replace(/\/$/, '')}`
}

/**
 * What is wrong with the authority's own issuer, or null. Beside what holds for all: clients take the URL without a
 * slash as the audience, and verifiers compare `iss` as text.
 */
export function findOwnIssuerFault(text: string, options: { readonly dev: boolean }): string | null {
  return findUrlFault(text, options) ?? (text.endsWith('/') ? `write it as ${text.slice(0, -1)}` : null)
}

const OF_OURS = 'use a URL or a host name of this installation'
const OF_OTHERS = `is another service’s audience, and tokens for it are tokens for that service: ${OF_OURS}`

/**
 * Audiences for which workloads and jobs everywhere get tokens already, with or without scheme, port and slash: AWS STS (IAM
 * roles for service accounts), EKS Pod Identity, a cluster's own API server, and Entra's token exchange. A token that was
 * made for one of them, and seen there, would be a proof here.
 */
const OTHERS = [
  /^(?:https?:\/\/)?sts(?:-fips)?(?:\.[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?(?::\d+)?\/?$/i,
  /^(?:https?:\/\/)?pods\.eks\.amazonaws\.com(?:\.cn)?(?::\d+)?\/?$/i,
  /^(?:https?:\/\/)?kubernetes\.default(?:\.svc(?:\.[a-z0-9.-]+)?)?(?::\d+)?\/?$/i,
  /^api:\/\/AzureADTokenExchange[a-z]*\/?$/i,
]

/** What is wrong with an audience, or null: a URL or a host name with a dot, which no other service can have. */
export function findAudienceFault(text: string): string | null {
  if (text.length > 1000 || !/^[\x21-\x7e]+$/.test(text)) return 'expected a URL or a host name'
  if (text.includes('#')) return 'the character # is reserved'
  if (OTHERS.some((form) => form.test(text))) return OF_OTHERS
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(text)) return null
  if (/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/i.test(text)) return null
  return `a bare word may be another service’s audience too: ${OF_OURS}`
}
