// The gateway's own X.509-SVID and the roots of its trust domain, read from files. Workloads verify this certificate with
// the same rules, so one that breaks them would only be found by the first of them.
import { type Bundle, BundleError, readBundle } from '../../spiffe/bundle.ts'
import { SvidError, type SvidErrorCode, verifyX509Svid } from '../../spiffe/x509-svid.ts'
import { type BuildContext, readKeyPair, readText } from './context.ts'
import type { GatewayDocument } from './schema.ts'
import type { KeyPair } from './types.ts'

const AT = ['identity', 'files'] as const

/** Null after a fault. */
export async function buildIdentity(
  document: GatewayDocument,
  context: BuildContext,
): Promise<{ readonly identity: KeyPair; readonly bundle: Bundle } | null> {
  const { files } = document.identity
  const { keyPair, chain } = await readKeyPair(files, AT, context)
  const bundle = await buildBundle(files.bundle, document.trustDomain, context)
  if (keyPair === null || bundle === null) return null
  try {
    verifyX509Svid({
      leaf: keyPair.leaf,
      intermediates: chain.slice(1),
      bundle: (trustDomain) => (trustDomain === document.trustDomain ? bundle : undefined),
      now: context.now,
      purpose: 'server',
    })
  } catch (error) {
    if (!(error instanceof SvidError)) throw error
    const message = `${files.certificate}: not an X.509-SVID that workloads of ${document.trustDomain} trust: ${error.message}`
    context.report([...AT, 'certificate'], message, REMEDIES[error.code] ?? 'issue it again')
    return null
  }
  return { identity: keyPair, bundle }
}

const REMEDIES: Partial<Readonly<Record<SvidErrorCode, string>>> = {
  'no-uri': 'its only URI SAN must be a SPIFFE ID of the trust domain',
  'extended-key-usage': 'a gateway needs serverAuth',
  'trust-domain-unknown': 'trustDomain and the SPIFFE ID in the certificate must name one trust domain',
  untrusted: 'the bundle must hold the root that the chain leads to',
}

async function buildBundle(
  reference: string,
  trustDomain: string,
  context: BuildContext,
): Promise<Bundle | null> {
  const key = [...AT, 'bundle']
  const text = await readText(reference, key, context)
  if (text === null) return null
  try {
    const bundle = readBundle(text, trustDomain)
    if (bundle.x509Authorities.length > 0) return bundle
    context.report(key, `${reference}: holds no X.509 root, so no workload could be let in`)
  } catch (error) {
    if (!(error instanceof BundleError)) throw error
    context.report(key, `${reference}: ${error.message}`, 'name PEM roots or a SPIFFE bundle (JWKS)')
  }
  return null
}
