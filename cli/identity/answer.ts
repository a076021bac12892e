// Judges what the authority answered: the chain leads to the roots it names, the key is ours, the SPIFFE ID is of the
// trust domain that was asked for. Only then is anything of it used.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { parseIssued, untrusted } from '../../common/authority/answer.ts'
import { chooseRenewal } from '../../common/authority/timing.ts'
import type { Secret } from '../../common/secret.ts'
import { readBundle, writePem } from '../../spiffe/bundle.ts'
import { verifyOwnSvid } from '../../spiffe/own-svid.ts'

export interface AnswerFacts {
  readonly spiffeId: string
  /** The leaf and the CAs above it, without the root. */
  readonly certificatePem: string
  /** The SPIFFE bundle as served (JWKS), and its roots as PEM. */
  readonly bundleJson: string
  readonly bundlePem: string
  readonly bundleSequence: number | null
  readonly serialNumber: string
  /** ISO 8601, as all times here. */
  readonly expiresAt: string
  readonly renewAfter: string
  readonly registration: string
}

function readChain(pem: string): readonly [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const [leaf, ...rest] = blocks.map((block) => new X509Certificate(block))
  if (leaf === undefined) throw new Error('there is no certificate in it')
  return [leaf, ...rest]
}

export interface AnswerInput {
  /** The body of the issuance, and of the bundle that was fetched after it. */
  readonly issued: string
  readonly bundle: string
  /** PKCS #8 PEM of the key that was made. */
  readonly key: Secret
  readonly trustDomain: string
  readonly now: Date
}

/**
 * The facts of an answer that holds.
 * @throws IdentityFetchError `answer-malformed`, `answer-untrusted`
 */
export function readAnswer(input: AnswerInput): AnswerFacts {
  const issued = parseIssued(input.issued)
  try {
    const bundle = readBundle(input.bundle, input.trustDomain)
    const chain = readChain(issued.certificateChain)
    const [leaf] = chain
    if (!leaf.checkPrivateKey(createPrivateKey(input.key.reveal())))
      throw new Error('the certificate is for another key')
    // Both: the roots that came with the certificate, and those that will be kept.
    const bundles = [readBundle(issued.bundle, input.trustDomain), bundle] as const
    const { uri: id } = verifyOwnSvid({ chain, bundles, now: input.now })
    if (id !== issued.spiffeId) throw new Error('the certificate has another SPIFFE ID than the answer')
    return {
      spiffeId: id,
      certificatePem: issued.certificateChain,
      bundleJson: input.bundle,
      bundlePem: writePem(bundle),
      bundleSequence: bundle.sequence,
      serialNumber: issued.serialNumber,
      expiresAt: leaf.validToDate.toISOString(),
      renewAfter: chooseRenewal(new Date(issued.renewAfter), input.now, leaf.validToDate).toISOString(),
      registration: issued.registration,
    }
  } catch (error) {
    throw untrusted(error)
  }
}
