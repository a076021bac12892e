// The client of the authority: makes a key that never leaves, shows a proof, and believes nothing of the answer until
// it was checked. The authority's TLS identity says who answered; the checks here say that the answer is whole.
import { type AnswerFacts, readAnswer } from './answer.ts'
import { defaultAudience, findOtherIssuer, readAuthorityUrl, routeOf } from './authority-url.ts'
import { IdentityFetchError } from './errors.ts'
import { createKey, createKeyRing, type KeyRing, type RequestKey } from './keys.ts'
import { type PatienceOptions, send } from './patience.ts'
import type { MadeSource, ProofSource, ShownProof, TokenSource } from './proof.ts'
import { type AuthorityAnswer, requestAuthority } from './request.ts'

export interface FetchX509SvidOptions extends PatienceOptions {
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
  /** The same for all tries of a command, so that a token keeps its key. */
  readonly keys?: KeyRing
  readonly clock?: () => Date
}

export interface FetchedSvid extends AnswerFacts {
  /** PKCS #8 PEM. */
  readonly keyPem: string
}

interface Exchange {
  readonly base: URL
  readonly audience: string
  readonly options: FetchX509SvidOptions
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

interface Issued {
  readonly key: RequestKey
  readonly body: string
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
  const message = `${error.message} The proof was made for ${audience}, and the authority calls itself ${other}: see --audience.`
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
export async function fetchX509Svid(options: FetchX509SvidOptions): Promise<FetchedSvid> {
  const base = readAuthorityUrl(options.authorityUrl)
  const exchange: Exchange = { base, audience: options.audience ?? defaultAudience(base), options }
  const { proof } = options
  const { key, body } =
    proof.kind === 'token' ? await issueByToken(exchange, proof) : await issueByMadeProof(exchange, proof)
  const request = { url: routeOf(base, '/v1/bundle'), method: 'GET', headers: {}, body: null } as const
  const bundle = await send({ ...request, ca: options.ca ?? null }, 200, options)
  const facts = readAnswer({
    issued: body,
    bundle: bundle.body,
    key: key.pem,
    trustDomain: options.trustDomain,
    now: options.clock?.() ?? new Date(),
  })
  return { ...facts, keyPem: key.pem }
}
