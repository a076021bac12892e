// Whether a pending CA document may become current: what it signs is verified by those who have its bundle and by those
// who still have the one before, and what instances sign that have not read it yet is verified by its own.
import { createPublicKey, generateKeyPair, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { compactVerify, decodeProtectedHeader } from 'jose'
import { parseSpiffeId } from '../../spiffe/id.ts'
import { verifyX509Svid } from '../../spiffe/x509-svid.ts'
import { type AuthorityState, buildAuthorityState } from '../identity/authority/state.ts'
import { mintJwt } from '../identity/mint/jwt.ts'
import { MIN_TTL_SECONDS } from '../identity/mint/lifetime.ts'
import { mintX509 } from '../identity/mint/x509.ts'
import { checkKeyIds, checkKeySets } from './check-keys.ts'
import type { CheckPending } from './rotation.ts'

export interface CheckOptions {
  readonly trustDomain: string
  readonly random: (bytes: number) => Uint8Array
}

interface Judge {
  readonly options: CheckOptions
  readonly now: Date
}

/** A leaf that one document signs must verify with the bundle of the other. */
async function checkLeaf({ options, now }: Judge, signer: AuthorityState, verifier: AuthorityState) {
  const { publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const minted = await mintX509({
    state: signer,
    now,
    spiffeId: parseSpiffeId(`spiffe://${options.trustDomain}/sallyport/health-check`),
    dnsNames: [],
    spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
    ttlSeconds: MIN_TTL_SECONDS,
    requestedSeconds: null,
    proofEnds: null,
    random: options.random,
  })
  const leaf = new X509Certificate(minted.chainPem)
  const bundle = (name: string) => (name === options.trustDomain ? verifier.bundle : undefined)
  verifyX509Svid({ leaf, intermediates: signer.issuing.chain, bundle, now, purpose: 'client' })
}

/** So must a token. */
async function checkToken({ options, now }: Judge, signer: AuthorityState, verifier: AuthorityState) {
  const key = signer.jwt.signingKey(now)
  if (key === null) throw new Error('no JWT key may sign')
  const token = await mintJwt({
    key,
    issuer: 'https://health-check.invalid',
    spiffeId: parseSpiffeId(`spiffe://${options.trustDomain}/sallyport/health-check`),
    audience: 'health-check',
    tokenId: 'health-check',
    now,
    expiresAt: new Date(now.getTime() + 60_000),
  })
  const { kid } = decodeProtectedHeader(token)
  const published = verifier.jwt.published.find((one) => one.kid === kid)
  if (published === undefined) throw new Error(`a verifier does not know the JWT key ${key.kid}`)
  const publicKey = createPublicKey({ key: published.jwk, format: 'jwk' })
  await compactVerify(token, publicKey, { algorithms: [published.alg] })
}

/** The check of real documents. */
export function createCheck(options: CheckOptions): CheckPending {
  return async (pending, current, now) => {
    const judge: Judge = { options, now }
    const state = await buildAuthorityState(pending, options.trustDomain)
    await checkKeyIds(state)
    if (current === null) {
      await checkLeaf(judge, state, state)
      await checkToken(judge, state, state)
      return
    }
    checkKeySets(pending, current, now)
    const before = await buildAuthorityState(current, options.trustDomain)
    // A document from before there were JWT keys has none; the first one that it gets waits like any successor.
    const tokens = current.jwtKeys.some(({ activateAt }) => Date.parse(activateAt) <= now.getTime())
    const ended = now >= before.issuing.notAfter
    // One that only publishes, where no root may sign a new issuing CA, is the way out of that and signs nothing new.
    if (!ended || pending.issuing.chain !== current.issuing.chain) {
      await checkLeaf(judge, state, before)
      if (tokens) await checkToken(judge, state, before)
    }
    if (ended) return
    await checkLeaf(judge, before, state)
    if (tokens) await checkToken(judge, before, state)
  }
}
