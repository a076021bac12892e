// One exchange with the authority, and the judgement of what it answered: nothing of it is used before the chain, the key,
// the SPIFFE ID and the times hold. The client with its libraries is loaded at the first one, since gateways that have
// their identity from files need none of it.
import type { X509Certificate } from 'node:crypto'
import { parseIssued, untrusted } from '../../common/authority/answer.ts'
import { awsProofSource } from '../../common/authority/aws-proof.ts'
import { IdentityFetchError } from '../../common/authority/errors.ts'
import type { AuthorityOptions } from '../../common/authority/exchange.ts'
import type { KeyRing } from '../../common/authority/keys.ts'
import type { PatienceOptions } from '../../common/authority/patience.ts'
import type { ProofSource } from '../../common/authority/proof.ts'
import { chooseRenewal } from '../../common/authority/timing.ts'
import type { Secret } from '../../common/secret.ts'
import { type Bundle, readBundle } from '../../spiffe/bundle.ts'
import { verifyOwnSvid } from '../../spiffe/own-svid.ts'
import type { AuthoritySource } from '../config/authority.ts'
import { checkKeyPair } from '../config/key-pair.ts'
import type { KeyPair } from '../config/types.ts'

export interface Issuance {
  readonly body: string
  readonly key: Secret
}

/** @throws IdentityFetchError */
export async function askForSvid(
  source: AuthoritySource,
  keys: KeyRing,
  patience: PatienceOptions,
): Promise<Issuance> {
  const { requestX509Svid } = await import('../../common/authority/exchange.ts')
  const { audience, registration, ttlSeconds } = source.settings
  const { key, body } = await requestX509Svid({
    ...(await reach(source, patience)),
    ...{ proof: proofOf(source), keys, audienceHint: 'see identity.authority.audience' },
    ...(audience === null ? {} : { audience }),
    ...(registration === null ? {} : { registration }),
    ...(ttlSeconds === null ? {} : { ttlSeconds }),
  })
  return { key: key.pem, body }
}

/** @throws IdentityFetchError */
export async function askForBundle(source: AuthoritySource, patience: PatienceOptions): Promise<string> {
  const { requestBundle } = await import('../../common/authority/exchange.ts')
  return requestBundle(await reach(source, patience))
}

export async function createKeys(): Promise<KeyRing> {
  const { createKeyRing } = await import('../../common/authority/keys.ts')
  return createKeyRing()
}

async function reach(source: AuthoritySource, patience: PatienceOptions): Promise<AuthorityOptions> {
  try {
    return { ...patience, authorityUrl: source.settings.url, ca: await source.readRoots() }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new IdentityFetchError('roots-unreadable', `identity.authority.roots: ${reason}`, { cause: error })
  }
}

function proofOf({ settings: { proof }, token }: AuthoritySource): ProofSource {
  if (proof === 'aws-sigv4') return awsProofSource({ kind: 'sigv4' })
  if (proof === 'aws-web-identity') return awsProofSource({ kind: 'web-identity' })
  if (token === null) throw new TypeError('a proof by token without its source')
  return token
}

export interface JudgedSvid {
  readonly keyPair: KeyPair
  readonly spiffeId: string
  /** Leaf first. */
  readonly chain: readonly X509Certificate[]
  readonly renewAfter: Date
}

/** @throws IdentityFetchError `answer-malformed`, `answer-untrusted` */
export function judgeSvid({ body, key }: Issuance, bundle: Bundle, now: Date): JudgedSvid {
  const issued = parseIssued(body)
  try {
    const { keyPair, chain, problems } = checkKeyPair(issued.certificateChain, key.reveal(), now)
    if (keyPair === null) throw new Error(problems.map(({ message }) => message).join('; '))
    // Both: the roots that came with it, and those by which workloads will verify it.
    const bundles = [readBundle(issued.bundle, bundle.trustDomain), bundle] as const
    const { uri: spiffeId } = verifyOwnSvid({ chain, bundles, now })
    if (spiffeId !== issued.spiffeId) throw new Error('the certificate has another SPIFFE ID than the answer')
    const renewAfter = chooseRenewal(new Date(issued.renewAfter), now, keyPair.leaf.validToDate)
    return { keyPair, spiffeId, chain, renewAfter }
  } catch (error) {
    throw untrusted(error)
  }
}

/**
 * A bundle with a lower sequence than the one before may bring back a root that was removed.
 * @throws IdentityFetchError `answer-untrusted`, `bundle-went-back`
 */
export function judgeBundle(text: string, trustDomain: string, before: Bundle | null): Bundle {
  const bundle = parseBundle(text, trustDomain)
  const kept = before?.trustDomain === trustDomain ? before.sequence : null
  if (kept !== null && (bundle.sequence === null || bundle.sequence < kept)) {
    const message = `the authority's bundle has sequence ${bundle.sequence ?? 'none'}, and ${kept} was seen before`
    throw new IdentityFetchError('bundle-went-back', message)
  }
  return bundle
}

function parseBundle(text: string, trustDomain: string): Bundle {
  try {
    const bundle = readBundle(text, trustDomain)
    if (bundle.x509Authorities.length === 0) throw new Error('the bundle holds no X.509 root')
    return bundle
  } catch (error) {
    throw untrusted(error)
  }
}
