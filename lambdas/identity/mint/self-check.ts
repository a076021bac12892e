// Checks what was signed by other code than signed it: OpenSSL through node:crypto, and the rules that every verifier
// of an X.509-SVID applies. A certificate that is not exactly what was meant never leaves.
import { createHash, X509Certificate } from 'node:crypto'
import { SallyportError } from '../../../common/errors.ts'
import { verifyX509Svid } from '../../../spiffe/x509-svid.ts'
import type { AuthorityState } from '../authority/state.ts'
import { messageOf } from '../log.ts'

export class SelfCheckError extends SallyportError<'self-check-failed'> {}

export interface Intended {
  readonly spiffeId: string
  readonly dnsNames: readonly string[]
  readonly spki: Uint8Array
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Node cuts leading zero digits and writes upper case; ours has two digits a byte. */
function serialOf(leaf: X509Certificate): string {
  const hex = leaf.serialNumber.toLowerCase()
  return hex.length % 2 === 0 ? hex : `0${hex}`
}

/** The first thing that is not as intended, or null. */
function findDifference(leaf: X509Certificate, intended: Intended): string | null {
  const names = [`URI:${intended.spiffeId}`, ...intended.dnsNames.map((name) => `DNS:${name}`)].join(', ')
  if (leaf.subjectAltName !== names) return 'subject alternative names'
  if (!leaf.publicKey.export({ type: 'spki', format: 'der' }).equals(intended.spki)) return 'public key'
  if (serialOf(leaf) !== intended.serialNumber) return 'serial number'
  if (leaf.validFromDate.getTime() !== intended.notBefore.getTime()) return 'start of validity'
  if (leaf.validToDate.getTime() !== intended.notAfter.getTime()) return 'end of validity'
  if (leaf.ca) return 'CA bit'
  return leaf.subject === undefined || leaf.subject === '' ? null : 'subject'
}

/**
 * Parses and judges a certificate that was just signed.
 * @returns the lower-case hexadecimal SHA-256 of its DER
 * @throws SelfCheckError
 */
export function checkSigned(der: Uint8Array, intended: Intended, state: AuthorityState, now: Date): string {
  try {
    const leaf = new X509Certificate(der)
    const difference = findDifference(leaf, intended)
    if (difference !== null) throw new Error(`other ${difference} than intended`)
    for (const purpose of ['client', 'server'] as const) {
      const bundle = (name: string) => (name === state.trustDomain ? state.bundle : undefined)
      const verified = verifyX509Svid({ leaf, intermediates: state.issuing.chain, bundle, now, purpose })
      if (verified.id.uri !== intended.spiffeId) throw new Error('another SPIFFE ID than intended')
    }
  } catch (error) {
    throw new SelfCheckError('self-check-failed', `what was signed is refused: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return createHash('sha256').update(der).digest('hex')
}
