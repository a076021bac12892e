// The client of the authority: makes a key that never leaves, shows a proof, and believes nothing of the answer until
// it was checked. The authority's TLS identity says who answered; the checks here say that the answer is whole.
import { webcrypto } from 'node:crypto'
import { keyDigest } from '../../lambdas/identity/authority/ca-key.ts'
import * as x509 from '../../lambdas/identity/x509-library.ts'
import { type AnswerFacts, readAnswer, readProblem } from './answer.ts'
import { IdentityFetchError } from './errors.ts'
import type { ProofSource } from './proof.ts'
import { type AuthorityAnswer, type AuthorityFetch, requestAuthority } from './request.ts'

export interface FetchX509SvidOptions {
  /** https, or http on loopback. */
  readonly authorityUrl: string
  /** PEM of the CA of the authority's TLS certificate; null = the system's. */
  readonly ca?: string | null
  readonly proof: ProofSource
  /** What the SVID must be in. */
  readonly trustDomain: string
  /** What the proof is made for; default the authority's URL, which is its issuer by default. */
  readonly audience?: string
  readonly ttlSeconds?: number
  readonly registration?: string
  readonly fetch?: AuthorityFetch
  readonly clock?: () => Date
}

export interface FetchedSvid extends AnswerFacts {
  /** PKCS #8 PEM. */
  readonly keyPem: string
}

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

interface NewKey {
  readonly pem: string
  /** `x509:` and the digest of its SPKI, which proofs may be bound to (design §5.4). */
  readonly binding: string
  readonly csr: string
}

async function createKey(): Promise<NewKey> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: KEY_ALGORITHM,
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const spki = new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey))
  return {
    pem: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    binding: `x509:${keyDigest(spki)}`,
    csr: request.toString('pem'),
  }
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new IdentityFetchError('authority-url', `expected the authority's URL, found ${text}`)
  }
  const loopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) return url
  throw new IdentityFetchError('authority-url', `${text}: tokens are sent by https alone, or to loopback`)
}

function at(base: URL, route: string): string {
  return new URL(`${base.pathname.replace(/\/$/, '')}${route}`, base).href
}

async function post(base: URL, key: NewKey, options: FetchX509SvidOptions): Promise<AuthorityAnswer> {
  const { ttlSeconds, registration } = options
  const proof = await options.proof({
    audience: options.audience ?? defaultAudience(base),
    binding: key.binding,
  })
  const body = JSON.stringify({
    csr: key.csr,
    ...('aws' in proof ? { aws: proof.aws } : {}),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(registration === undefined ? {} : { registration }),
  })
  const answer = await (options.fetch ?? requestAuthority)({
    url: at(base, '/v1/svid/x509'),
    method: 'POST',
    headers: {
      ...('token' in proof ? { authorization: `Bearer ${proof.token.reveal()}` } : {}),
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    },
    body,
    ca: options.ca ?? null,
  })
  if (answer.status !== 201) throw readProblem(answer)
  return answer
}

/** The authority's audience is its issuer URL unless configured otherwise; that has no slash at its end. */
function defaultAudience(base: URL): string {
  return base.href.replace(/\/$/, '')
}

async function getBundle(base: URL, options: FetchX509SvidOptions): Promise<AuthorityAnswer> {
  const url = at(base, '/v1/bundle')
  const request = { url, method: 'GET', headers: {}, body: null, ca: options.ca ?? null } as const
  const answer = await (options.fetch ?? requestAuthority)(request)
  if (answer.status !== 200) throw readProblem(answer)
  return answer
}

/**
 * Exchanges a proof for an X.509-SVID with a new P-256 key.
 * @throws IdentityFetchError
 */
export async function fetchX509Svid(options: FetchX509SvidOptions): Promise<FetchedSvid> {
  const base = readUrl(options.authorityUrl)
  const key = await createKey()
  const issued = await post(base, key, options)
  const bundle = await getBundle(base, options)
  const facts = readAnswer({
    issued: issued.body,
    bundle: bundle.body,
    key: key.pem,
    trustDomain: options.trustDomain,
    now: options.clock?.() ?? new Date(),
  })
  return { ...facts, keyPem: key.pem }
}
