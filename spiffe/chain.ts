// The path from a leaf to a root of its trust domain (RFC 5280 §6.1, without policies): every link is checked by name,
// signature, time, CA flag, key usage, path length, purpose and name constraints. The search is bounded, because the
// peer chooses what it is made of.
import type { X509Certificate } from 'node:crypto'
import type { Bundle } from './bundle.ts'
import { type CertificateFacts, readCertificate } from './certificate.ts'
import type { SpiffeId } from './id.ts'
import { hasStrongKey, hasStrongSignature } from './strength.ts'
import { SvidError } from './svid-error.ts'

export interface ChainOptions {
  readonly leaf: X509Certificate
  readonly leafFacts: CertificateFacts
  readonly id: SpiffeId
  readonly intermediates: readonly X509Certificate[]
  readonly bundle: Bundle
  readonly now: Date
  /** The extended key usage that every CA which names any must name. */
  readonly purposeOid: string
}

/** CA certificates above the leaf, the root among them. */
const MAX_CAS = 6
const MAX_INTERMEDIATES = 16
/** A peer could send certificates that all seem to issue each other; each link costs a signature. */
const MAX_SIGNATURES = 48
const ANY_EXTENDED_KEY_USAGE = '551d2500'

/** Leaf first, root last. @throws SvidError `untrusted`, or `chain-expired` where time alone stands in the way. */
export function buildChain(options: ChainOptions): readonly X509Certificate[] {
  if (options.intermediates.length > MAX_INTERMEDIATES)
    throw new SvidError('untrusted', 'too many certificates were sent')
  const timely = new Search(options, true).run()
  if (timely !== null) return timely
  if (new Search(options, false).run() !== null) {
    throw new SvidError('chain-expired', 'a CA certificate of the chain is out of its time')
  }
  throw new SvidError('untrusted', `no root of ${options.bundle.trustDomain} verifies it`)
}

type AskPair = (subject: X509Certificate, issuer: X509Certificate) => boolean

/** By object: certificates never change, and whoever keeps one (a CA's own chain) asks about it again and again. */
function remembered(ask: AskPair): AskPair {
  const answers = new WeakMap<X509Certificate, WeakMap<X509Certificate, boolean>>()
  return (subject, issuer) => {
    let known = answers.get(subject)
    if (known === undefined) {
      known = new WeakMap()
      answers.set(subject, known)
    }
    const answer = known.get(issuer) ?? ask(subject, issuer)
    known.set(issuer, answer)
    return answer
  }
}

/** By names and key identifiers. */
const seemsIssuedBy = remembered((subject, issuer) => subject.checkIssued(issuer))

/** A P-384 signature costs over a millisecond to verify, most of what minting an SVID takes. */
const isSignedBy = remembered((subject, issuer) => subject.verify(issuer.publicKey))

class Search {
  readonly #options: ChainOptions
  readonly #timely: boolean
  #signatures = 0

  constructor(options: ChainOptions, timely: boolean) {
    this.#options = options
    this.#timely = timely
  }

  run(): readonly X509Certificate[] | null {
    return this.#extend([this.#options.leaf])
  }

  /** `path` with what is above its last certificate, or null. */
  #extend(path: readonly X509Certificate[]): readonly X509Certificate[] | null {
    const { bundle, intermediates } = this.#options
    if (path.length > MAX_CAS) return null
    for (const root of bundle.x509Authorities) {
      if (this.#issues(root, path)) return [...path, root]
    }
    for (const intermediate of intermediates) {
      if (!this.#issues(intermediate, path)) continue
      const found = this.#extend([...path, intermediate])
      if (found !== null) return found
    }
    return null
  }

  #issues(issuer: X509Certificate, path: readonly X509Certificate[]): boolean {
    const subject = path.at(-1)
    if (subject === undefined || path.some((member) => member.fingerprint256 === issuer.fingerprint256))
      return false
    // Names and key identifiers first: they cost nothing.
    if (!seemsIssuedBy(subject, issuer) || (this.#timely && !this.#inTime(issuer))) return false
    if (!this.#mayIssue(issuer, path)) return false
    this.#signatures += 1
    return this.#signatures <= MAX_SIGNATURES && isSignedBy(subject, issuer)
  }

  #inTime({ validFromDate, validToDate }: X509Certificate): boolean {
    const { now } = this.#options
    return now >= validFromDate && now <= validToDate
  }

  #mayIssue(issuer: X509Certificate, path: readonly X509Certificate[]): boolean {
    const { id, leafFacts, purposeOid, bundle } = this.#options
    const facts = safely(() => readCertificate(issuer))
    if (facts === null || !facts.isCa || facts.hasUnknownCritical || facts.keyUsage?.keyCertSign !== true)
      return false
    const isRoot = bundle.x509Authorities.includes(issuer)
    // A root is trusted as a key: what its own signature is made with does not matter.
    if (!hasStrongKey(issuer) || !(isRoot || hasStrongSignature(facts))) return false
    // pathLenConstraint counts the CAs between this one and the leaf (RFC 5280 §4.2.1.9).
    if (facts.pathLength !== null && path.length - 1 > facts.pathLength) return false
    const usage = facts.extendedKeyUsage
    if (usage !== null && !usage.has(purposeOid) && !usage.has(ANY_EXTENDED_KEY_USAGE)) return false
    return isOfTrustDomain(facts, id) && permitsNames(facts, leafFacts, id)
  }
}

/** A signing certificate that names an ID names the trust domain it signs for (X509-SVID.md §3.1, §5.1). */
function isOfTrustDomain({ uris }: CertificateFacts, id: SpiffeId): boolean {
  if (uris.length === 0) return true
  return uris.length === 1 && uris[0] === `spiffe://${id.trustDomain}`
}

function permitsNames({ nameConstraints }: CertificateFacts, leaf: CertificateFacts, id: SpiffeId): boolean {
  if (nameConstraints === null) return true
  const { permittedUris, excludedUris, otherKinds } = nameConstraints
  // Constraints on names of another kind are not evaluated here, so a leaf that has such names does not pass.
  if ([...otherKinds].some((kind) => leaf.otherSanKinds.has(kind))) return false
  const matches = (constraint: string) => matchesHost(constraint.toLowerCase(), id.trustDomain)
  if (excludedUris.some(matches)) return false
  return permittedUris.length === 0 || permittedUris.some(matches)
}

/** RFC 5280 §4.2.1.10: a constraint on URIs is a host, or with a leading dot the hosts below it. */
function matchesHost(constraint: string, host: string): boolean {
  return constraint.startsWith('.') ? host.endsWith(constraint) && host !== constraint : host === constraint
}

function safely<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}
