// What the gateway shows and whom it believes: its own SVID, certificates of single listeners, and the bundles of trust
// domains; read from files, and again whenever they change. Each certificate is verified by the rules that its peers use,
// so one that breaks them is found here and not by the first of them.
import { type Bundle, BundleError, readBundle } from '../../spiffe/bundle.ts'
import { checkX509SvidLeaf, SvidError, type SvidErrorCode, verifyX509Svid } from '../../spiffe/x509-svid.ts'
import { LinkerdMapError, parseLinkerdMap } from '../listeners/linkerd-map.ts'
import { type BuildContext, readKeyPair, readRootCertificates, readText } from './context.ts'
import type { GatewayDocument } from './schema.ts'
import type { KeyPair, LinkerdTrust, TrustMaterial } from './types.ts'

type Path = readonly (string | number)[]

const AT = ['identity', 'files'] as const

/** Null after a fault. */
export async function buildTrust(
  document: GatewayDocument,
  context: BuildContext,
): Promise<TrustMaterial | null> {
  const bundles = await buildBundles(document, context)
  const linkerd = await buildLinkerd(document, context)
  const identity = await buildOwn(document, bundles, context)
  const identities = await buildListenerIdentities(document, bundles, context)
  if (bundles === null || linkerd === 'fault' || identity === null || identities === null) return null
  const shown = document.listeners
    .filter(({ protocol }) => protocol !== 'passthrough')
    .map(({ name }) => [name, identities.get(name) ?? identity] as const)
  return { identity, bundles, linkerd, identities: new Map(shown) }
}

async function buildBundles(
  document: GatewayDocument,
  context: BuildContext,
): Promise<ReadonlyMap<string, Bundle> | null> {
  const own = [document.trustDomain, document.identity.files.bundle, [...AT, 'bundle']] as const
  const further = document.trust.flatMap(({ trustDomain, bundle }, index) =>
    trustDomain === undefined || bundle === undefined
      ? []
      : [[trustDomain, bundle, ['trust', index, 'bundle']] as const],
  )
  const built = new Map<string, Bundle>()
  for (const [trustDomain, reference, key] of [own, ...further]) {
    const bundle = await buildBundle(reference, trustDomain, key, context)
    if (bundle !== null) built.set(trustDomain, bundle)
  }
  return built.size === 1 + further.length ? built : null
}

async function buildBundle(
  reference: string,
  trustDomain: string,
  key: Path,
  context: BuildContext,
): Promise<Bundle | null> {
  const text = await readText(reference, key, context)
  if (text === null) return null
  try {
    const bundle = readBundle(text, trustDomain)
    if (bundle.x509Authorities.length > 0) return bundle
    context.report(
      key,
      `${reference}: holds no X.509 root, so no workload could be let in`,
      'name PEM roots or a SPIFFE bundle (JWKS) with keys of use x509-svid',
    )
  } catch (error) {
    if (!(error instanceof BundleError)) throw error
    context.report(key, `${reference}: ${error.message}`, 'name PEM roots or a SPIFFE bundle (JWKS)')
  }
  return null
}

async function buildLinkerd(
  { trust }: GatewayDocument,
  context: BuildContext,
): Promise<LinkerdTrust | null | 'fault'> {
  const index = trust.findIndex(({ linkerd }) => linkerd !== undefined)
  const entry = trust[index]?.linkerd
  if (entry === undefined) return null
  const at = ['trust', index, 'linkerd']
  const anchors = await readRootCertificates(entry.trustAnchors, [...at, 'trustAnchors'], context)
  try {
    const map = parseLinkerdMap(entry.map)
    return anchors === null ? 'fault' : { anchors, map }
  } catch (error) {
    if (!(error instanceof LinkerdMapError)) throw error
    const key = error.entry === null ? [...at, 'map'] : [...at, 'map', error.entry]
    context.report(key, error.message, error.hint)
    return 'fault'
  }
}

async function buildOwn(
  document: GatewayDocument,
  bundles: ReadonlyMap<string, Bundle> | null,
  context: BuildContext,
): Promise<KeyPair | null> {
  const { files } = document.identity
  const { keyPair, chain } = await readKeyPair(files, AT, context)
  const bundle = bundles?.get(document.trustDomain)
  if (keyPair === null || bundle === undefined) return null
  try {
    verifyX509Svid({
      leaf: keyPair.leaf,
      intermediates: chain.slice(1),
      bundle: (trustDomain) => (trustDomain === document.trustDomain ? bundle : undefined),
      now: context.now,
      purpose: 'server',
    })
    return keyPair
  } catch (error) {
    if (!(error instanceof SvidError)) throw error
    const message = `${files.certificate}: not an X.509-SVID that workloads of ${document.trustDomain} trust: ${error.message}`
    context.report([...AT, 'certificate'], message, REMEDIES[error.code] ?? 'issue it again')
    return null
  }
}

const REMEDIES: Partial<Readonly<Record<SvidErrorCode, string>>> = {
  'no-uri': 'its only URI SAN must be a SPIFFE ID of the trust domain',
  'extended-key-usage': 'a gateway needs serverAuth',
  'trust-domain-unknown': 'trustDomain and the SPIFFE ID in the certificate must name one trust domain',
  untrusted: 'the bundle must hold the root that the chain leads to',
}

/** Null after a fault. */
async function buildListenerIdentities(
  { listeners }: GatewayDocument,
  bundles: ReadonlyMap<string, Bundle> | null,
  context: BuildContext,
): Promise<ReadonlyMap<string, KeyPair> | null> {
  const built = new Map<string, KeyPair>()
  let whole = true
  for (const [index, { name, identity }] of listeners.entries()) {
    if (identity === undefined) continue
    const at = ['listeners', index, 'identity', ...identity.under]
    const { keyPair } = await readKeyPair(identity, at, context)
    if (keyPair === null) whole = false
    else {
      built.set(name, keyPair)
      warnOfStranger(identity.certificate, keyPair, bundles, at, context)
    }
  }
  return whole ? built : null
}

/** A mesh's proxies check the name that its control plane gave this certificate, which nobody here knows. */
function warnOfStranger(
  reference: string,
  { leaf }: KeyPair,
  bundles: ReadonlyMap<string, Bundle> | null,
  at: Path,
  { warn }: BuildContext,
): void {
  const trustDomain = trustDomainOf(leaf)
  if (trustDomain === null || bundles === null || bundles.has(trustDomain)) return
  warn(
    [...at, 'certificate'],
    `${reference}: is of trust domain ${trustDomain}, which trust does not list`,
    'add it to trust, or name the right certificate',
  )
}

/** The trust domain of an SVID; null where the certificate is none. */
export function trustDomainOf(leaf: KeyPair['leaf']): string | null {
  try {
    return checkX509SvidLeaf(leaf).trustDomain
  } catch (error) {
    if (error instanceof SvidError) return null
    throw error
  }
}
