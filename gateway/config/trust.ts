// What the gateway shows and whom it believes: its own SVID, certificates of single listeners, and the bundles of trust
// domains; read from files, or issued by the authority, and again whenever they change. Each certificate is verified by the rules that its peers use,
// so one that breaks them is found here and not by the first of them.
import { type Bundle, BundleError, readBundle } from '../../spiffe/bundle.ts'
import { checkX509SvidLeaf, SvidError, type SvidErrorCode, verifyX509Svid } from '../../spiffe/x509-svid.ts'
import { LinkerdMapError, parseLinkerdMap } from '../listeners/linkerd-map.ts'
import { type BuildContext, readKeyPair, readRootCertificates, readText } from './context.ts'
import type { GatewayDocument } from './schema.ts'
import { bundledTrustDomains } from './rules-trust.ts'
import type { IssuedIdentity, KeyPair, LinkerdTrust, TrustMaterial } from './types.ts'

type Path = readonly (string | number)[]

const AT = ['identity', 'files'] as const

/** What is known of trust, with the gateway's own identity or while the authority has not issued it yet. */
export interface BuiltTrust extends Pick<TrustMaterial, 'bundles' | 'identities' | 'linkerd'> {
  /** Null while the authority has issued nothing. */
  readonly material: TrustMaterial | null
  /** The trust domain whose bundle is still to come from the authority; null = none. */
  readonly pending: string | null
}

/** Null after a fault. */
export async function buildTrust(
  document: GatewayDocument,
  context: BuildContext,
): Promise<BuiltTrust | null> {
  const issued = issuedFor(document, context)
  const bundles = await buildBundles(document, issued, context)
  const linkerd = await buildLinkerd(document, context)
  const { files } = document.identity
  const identity =
    files === undefined
      ? (issued?.keyPair ?? null)
      : await buildOwn(files, document.trustDomain, bundles, context)
  const identities = await buildListenerIdentities(document, context)
  if (bundles === null || linkerd === 'fault' || identities === null) return null
  if (identity === null) {
    return files === undefined
      ? { bundles, identities, linkerd, material: null, pending: document.trustDomain }
      : null
  }
  const shown = document.listeners
    .filter(({ protocol }) => protocol !== 'passthrough')
    .map(({ name }) => [name, identities.get(name) ?? identity] as const)
  const material = { identity, bundles, linkerd, identities: new Map(shown) }
  return { ...material, material, pending: null }
}

/** The authority's checks are made where it is asked. One of another trust domain was issued to an earlier configuration. */
function issuedFor({ identity, trustDomain }: GatewayDocument, context: BuildContext): IssuedIdentity | null {
  if (identity.files !== undefined) return null
  const issued = context.issued()
  return issued?.bundle.trustDomain === trustDomain ? issued : null
}

async function buildBundles(
  document: GatewayDocument,
  issued: IssuedIdentity | null,
  context: BuildContext,
): Promise<ReadonlyMap<string, Bundle> | null> {
  const { files } = document.identity
  const own = files === undefined ? [] : [[document.trustDomain, files.bundle, [...AT, 'bundle']] as const]
  const further = document.trust.flatMap(({ trustDomain, bundle }, index) =>
    trustDomain === undefined || bundle === undefined
      ? []
      : [[trustDomain, bundle, ['trust', index, 'bundle']] as const],
  )
  const built = new Map<string, Bundle>(issued === null ? [] : [[document.trustDomain, issued.bundle]])
  const expected = built.size + own.length + further.length
  for (const [trustDomain, reference, key] of [...own, ...further]) {
    const bundle = await buildBundle(reference, trustDomain, key, context)
    if (bundle !== null) built.set(trustDomain, bundle)
  }
  return built.size === expected ? built : null
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
  files: NonNullable<GatewayDocument['identity']['files']>,
  trustDomain: string,
  bundles: ReadonlyMap<string, Bundle> | null,
  context: BuildContext,
): Promise<KeyPair | null> {
  const { keyPair, chain } = await readKeyPair(files, AT, context)
  const bundle = bundles?.get(trustDomain)
  if (keyPair === null || bundle === undefined) return null
  try {
    verifyX509Svid({
      leaf: keyPair.leaf,
      intermediates: chain.slice(1),
      bundle: (name) => (name === trustDomain ? bundle : undefined),
      now: context.now,
      purpose: 'server',
    })
    return keyPair
  } catch (error) {
    if (!(error instanceof SvidError)) throw error
    const message = `${files.certificate}: not an X.509-SVID that workloads of ${trustDomain} trust: ${error.message}`
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
  document: GatewayDocument,
  context: BuildContext,
): Promise<ReadonlyMap<string, KeyPair> | null> {
  const built = new Map<string, KeyPair>()
  const bundled = bundledTrustDomains(document)
  let whole = true
  for (const [index, { name, identity }] of document.listeners.entries()) {
    if (identity === undefined) continue
    const at = ['listeners', index, 'identity', ...identity.under]
    const { keyPair } = await readKeyPair(identity, at, context)
    if (keyPair === null) whole = false
    else {
      built.set(name, keyPair)
      warnOfStranger(identity.certificate, keyPair, bundled, at, context)
    }
  }
  return whole ? built : null
}

/** A mesh's proxies check the name that its control plane gave this certificate, which nobody here knows. */
function warnOfStranger(
  reference: string,
  { leaf }: KeyPair,
  bundled: readonly string[],
  at: Path,
  { warn }: BuildContext,
): void {
  const trustDomain = trustDomainOf(leaf)
  if (trustDomain === null || bundled.includes(trustDomain)) return
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

/** What is read for it, as it stands in the configuration. */
export function trustFilesOf({ identity, trust, listeners }: GatewayDocument): readonly string[] {
  const { files } = identity
  return [
    ...(files === undefined ? [] : [files.certificate, files.key, files.bundle]),
    ...trust.flatMap((entry) => entry.bundle ?? entry.linkerd?.trustAnchors ?? []),
    ...listeners.flatMap((entry) =>
      entry.identity === undefined ? [] : [entry.identity.certificate, entry.identity.key],
    ),
  ]
}
