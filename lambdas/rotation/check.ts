// Whether a pending CA document may become current: it signs, and what it signs is verified by those who have its bundle
// and by those who still have the one before.
import { generateKeyPair, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { parseSpiffeId } from '../../spiffe/id.ts'
import { verifyX509Svid } from '../../spiffe/x509-svid.ts'
import type { AuthorityDocument } from '../identity/authority/document.ts'
import { type AuthorityState, buildAuthorityState } from '../identity/authority/state.ts'
import { mintJwt } from '../identity/mint/jwt.ts'
import { MIN_TTL_SECONDS } from '../identity/mint/lifetime.ts'
import { mintX509 } from '../identity/mint/x509.ts'
import type { CheckPending } from './steps.ts'

export interface CheckOptions {
  readonly trustDomain: string
  readonly random: (bytes: number) => Uint8Array
}

async function signLeaf(state: AuthorityState, now: Date, options: CheckOptions): Promise<X509Certificate> {
  const { publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const minted = await mintX509({
    state,
    now,
    spiffeId: parseSpiffeId(`spiffe://${options.trustDomain}/sallyport/health-check`),
    dnsNames: [],
    spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
    ttlSeconds: MIN_TTL_SECONDS,
    requestedSeconds: null,
    proofEnds: null,
    random: options.random,
  })
  return new X509Certificate(minted.chainPem)
}

async function signToken(state: AuthorityState, now: Date, options: CheckOptions): Promise<string> {
  const key = state.jwt.signingKey(now)
  if (key === null) throw new Error('no JWT key may sign')
  await mintJwt({
    key,
    issuer: 'https://health-check.invalid',
    spiffeId: parseSpiffeId(`spiffe://${options.trustDomain}/sallyport/health-check`),
    audience: 'health-check',
    tokenId: 'health-check',
    now,
    expiresAt: new Date(now.getTime() + 60_000),
  })
  return key.kid
}

/** The check of real documents. */
export function createCheck(options: CheckOptions): CheckPending {
  return async (pending: AuthorityDocument, current: AuthorityDocument | null, now: Date) => {
    const state = await buildAuthorityState(pending, options.trustDomain)
    const leaf = await signLeaf(state, now, options)
    if (current === null) {
      await signToken(state, now, options)
      return
    }
    const before = await buildAuthorityState(current, options.trustDomain)
    const bundle = (name: string) => (name === options.trustDomain ? before.bundle : undefined)
    verifyX509Svid({ leaf, intermediates: state.issuing.chain, bundle, now, purpose: 'client' })
    // A document from before there were JWT keys has none that may sign already.
    if (before.jwt.published.length === 0) return
    const kid = await signToken(state, now, options)
    if (!before.jwt.published.some((key) => key.kid === kid)) {
      throw new Error('the JWT key that would sign is not published yet')
    }
  }
}
