// The client of the authority's API: makes a key that never leaves, shows a proof, and gives the answer back as it came.
// The authority's TLS identity says who answered; that the answer is whole is for the caller to check.
import { IdentityFetchError } from './errors.ts'
import { createKey, createKeyRing, type KeyRing, type RequestKey } from './keys.ts'
import { type PatienceOptions, send } from './patience.ts'
import type { MadeSource, ProofSource, ShownProof, TokenSource } from './proof.ts'
import { type AuthorityAnswer, requestAuthority } from './request.ts'
import { defaultAudience, findOtherIssuer, readAuthorityUrl, routeOf } from './url.ts'

export interface AuthorityOptions extends PatienceOptions {
  /** https, or http on loopback. */
  readonly authorityUrl: string
  /** PEM of the CA of the authority's TLS certificate; null = the system's. */
  readonly ca?: string | null
}

export interface X509SvidRequest extends AuthorityOptions {
  readonly proof: ProofSource
  /** What the proof is made for; default the authority's URL, which is its issuer by default. */
  readonly audience?: string
  /** How an operator sets it, where it is not what the authority calls itself. */
  readonly audienceHint?: string
  readonly ttlSeconds?: number
  readonly registration?: string
  /** The same for all tries, so that a token keeps its key. */
  readonly keys?: KeyRing
}

export interface Issued {
  readonly key: RequestKey
  /** The body of the answer. */
  readonly body: string
}

interface Exchange {
  readonly base: URL
  readonly audience: string
  readonly options: X509SvidRequest
}

async function post(exchange: Exchange, key: RequestKey, proof: ShownProof): Promise<AuthorityAnswer> {
  const { ttlSeconds, registration } = exchange.options
  const body = JSON.stringify({
    csr: key.csr,
    ...('aws' in proof ? { aws: proof.aws } : {}),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(registration === undefined ? {} : { registration }),
  })
  const headers = {
    ...('token' in proof ? { authorization: `Bearer ${proof.token.reveal()}` } : {}),
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  }
  const request = { url: routeOf(exchange.base, '/v1/svid/x509'), method: 'POST', headers, body } as const
  return send({ ...request, ca: exchange.options.ca ?? null }, 201, exchange.options)
}

async function issueByToken(exchange: Exchange, source: TokenSource): Promise<Issued> {
  const token = await source.read()
  const key = await (exchange.options.keys ?? createKeyRing()).keyFor(token)
  return { key, body: (await post(exchange, key, { token })).body }
}

/** Adds what the authority calls itself, where the proof was made for another name. */
async function withHint(exchange: Exchange, error: IdentityFetchError): Promise<IdentityFetchError> {
  const { base, audience, options } = exchange
  const other = await findOtherIssuer(base, audience, options.fetch ?? requestAuthority, options.ca ?? null)
  if (other === null) return error
  const message = `${error.message} The proof was made for ${audience}, and the authority calls itself ${other}: ${options.audienceHint ?? 'name that as the audience'}.`
  return new IdentityFetchError(error.code, message, { cause: error })
}

const isRefused = (error: unknown): error is IdentityFetchError =>
  error instanceof IdentityFetchError &&
  (error.code === 'proof-refused' || error.code === 'registration-refused')

async function showMade(exchange: Exchange, source: MadeSource, key: RequestKey): Promise<AuthorityAnswer> {
  const wanted = { audience: exchange.audience, binding: key.binding }
  const proof = await source.make(wanted)
  try {
    return await post(exchange, key, proof)
  } catch (error) {
    if (!isRefused(error) || !('token' in proof) || source.makeOther === null) throw error
    return post(exchange, key, await source.makeOther(wanted, error.message))
  }
}

async function issueByMadeProof(exchange: Exchange, source: MadeSource): Promise<Issued> {
  const key = await createKey()
  try {
    return { key, body: (await showMade(exchange, source, key)).body }
  } catch (error) {
    // A 403 means that the proof held, and so was made for the right name.
    throw isRefused(error) && error.code === 'proof-refused' ? await withHint(exchange, error) : error
  }
}

/**
 * Exchanges a proof for an X.509-SVID of a P-256 key: a new one, unless the same token was shown for another before.
 * @throws IdentityFetchError
 */
export async function requestX509Svid(options: X509SvidRequest): Promise<Issued> {
  const base = readAuthorityUrl(options.authorityUrl)
  const exchange: Exchange = { base, audience: options.audience ?? defaultAudience(base), options }
  const { proof } = options
  return proof.kind === 'token' ? issueByToken(exchange, proof) : issueByMadeProof(exchange, proof)
}

/** The trust bundle as it is served, a SPIFFE bundle (JWKS). @throws IdentityFetchError */
export async function requestBundle(options: AuthorityOptions): Promise<string> {
  const url = routeOf(readAuthorityUrl(options.authorityUrl), '/v1/bundle')
  const request = { url, method: 'GET', headers: {}, body: null, ca: options.ca ?? null } as const
  return (await send(request, 200, options)).body
}
