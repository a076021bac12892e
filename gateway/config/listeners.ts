// Builds the listeners from their entries in gateway.yaml and the environment (design §5.5).
import ipaddr from 'ipaddr.js'
import type { KeyPath } from '../../common/schema-faults.ts'
import type { BuildContext } from './context.ts'
import { canonicalRange } from './range.ts'
import type { GatewayDocument } from './schema.ts'
import { bundledTrustDomains } from './rules-trust.ts'
import { type BuiltTrust, trustDomainOf } from './trust.ts'
import type { ListenerConfig } from './types.ts'

type Entry = GatewayDocument['listeners'][number]

export const PROXY_PROTOCOL_FROM = 'SALLYPORT_PROXY_PROTOCOL_FROM'

/** Null after a fault. */
export function buildListeners(
  document: GatewayDocument,
  trust: BuiltTrust,
  context: BuildContext,
): readonly ListenerConfig[] | null {
  const { report, overridden } = context
  const from = readEnvironment(context)
  if (from === 'fault') return null
  if (from !== null && document.listeners.some(isBehindBalancer)) overridden(PROXY_PROTOCOL_FROM)
  const bundled = new Set(bundledTrustDomains(document))
  const listeners = document.listeners.map((entry) => build(entry, document, trust, from))
  for (const [index, listener] of listeners.entries()) {
    const entry = document.listeners[index]
    if (entry?.trustDomains === undefined && !admitsAnybody(listener, bundled, trust)) {
      report(
        ['listeners', index, 'trustDomains'],
        'missing, and its certificate is of no trust domain in trust, so that nobody could come in',
        'add it',
      )
    }
    warnOfTokens(listener, trust, ['listeners', index, 'clientAuthentication'], context)
  }
  return listeners
}

/** The ranges of the environment, which win; null where it has none. */
function readEnvironment({ environment, report }: BuildContext): readonly string[] | null | 'fault' {
  const text = environment[PROXY_PROTOCOL_FROM] ?? ''
  if (text === '') return null
  const parts = text.split(',').map((part) => part.trim())
  const ranges = parts.map((part) => canonicalRange(part))
  const wrong = ranges.findIndex((range) => range?.exact !== true)
  if (wrong === -1) return ranges.map((range) => range?.text ?? '')
  const message = `${PROXY_PROTOCOL_FROM}: expected ranges such as 10.0.0.0/16,10.1.0.0/16, found "${parts[wrong]}"`
  const meant = ranges[wrong]?.text
  report(
    [],
    message,
    meant === undefined ? 'set it right or not at all' : `the range of this length is ${meant}`,
  )
  return 'fault'
}

function isBehindBalancer({ proxyProtocol }: Entry): boolean {
  return proxyProtocol?.required === true
}

function build(
  entry: Entry,
  document: GatewayDocument,
  trust: BuiltTrust,
  from: readonly string[] | null,
): ListenerConfig {
  const { name, address, protocol, proxyProtocol } = entry
  const trustDomains = entry.trustDomains ?? defaultTrustDomains(entry, document, trust)
  const { identity: _shown, ...rest } = entry
  return {
    fingerprint: JSON.stringify([rest, trustDomains, from]),
    name,
    address,
    protocol,
    minVersion: entry.minVersion ?? 'TLSv1.3',
    trustDomains,
    proxyProtocol:
      proxyProtocol?.required === true ? { from: createRangeTest(from ?? proxyProtocol.from) } : null,
    clientAuthentication: entry.clientAuthentication ?? 'svid',
    audience: entry.audience ?? null,
    serverNames: new Map(entry.serverNames?.map(({ serverName, destination }) => [serverName, destination])),
    destination: entry.destination ?? null,
    startTls: entry.startTls ?? null,
    port: entry.port ?? null,
  }
}

/** Its own: that of the certificate which it shows. Linkerd's names are of the map's trust domains. */
function defaultTrustDomains(
  { name, protocol, identity }: Entry,
  { trustDomain }: GatewayDocument,
  { identities, linkerd }: BuiltTrust,
): readonly string[] {
  if (protocol === 'passthrough') return []
  const shown = identities.get(name)
  const own = identity === undefined || shown === undefined ? trustDomain : trustDomainOf(shown.leaf)
  const mapped = protocol === 'linkerd' ? (linkerd?.map.trustDomains ?? []) : []
  return [...new Set([...(own === null ? [] : [own]), ...mapped])]
}

function admitsAnybody(
  { protocol, trustDomains }: ListenerConfig,
  bundled: ReadonlySet<string>,
  { linkerd }: BuiltTrust,
): boolean {
  if (protocol === 'passthrough' || trustDomains.some((name) => bundled.has(name))) return true
  return protocol === 'linkerd' && linkerd !== null
}

/** PEM roots hold no keys for tokens, so each of them would be refused; certificates come in all the same. */
function warnOfTokens(
  { protocol, clientAuthentication, trustDomains }: ListenerConfig,
  { bundles, pending }: BuiltTrust,
  at: KeyPath,
  { warn }: BuildContext,
): void {
  if (protocol !== 'connect' || clientAuthentication !== 'svid-or-token') return
  // The authority's own bundle always has them.
  const has = (name: string) => name === pending || (bundles.get(name)?.jwtAuthorities.length ?? 0) > 0
  if (trustDomains.some(has)) return
  warn(
    at,
    `the bundle of ${trustDomains.join(', ')} holds no key for tokens, so none could be verified`,
    'name a SPIFFE bundle (JWKS) with keys of use jwt-svid',
  )
}

/** Whether an address is in one of the ranges. Addresses are canonical: an IPv4-mapped one is the IPv4 address. */
export function createRangeTest(ranges: readonly string[]): (ip: string) => boolean {
  const parsed = ranges.map((range) => ipaddr.parseCIDR(range))
  return (ip) => {
    if (!ipaddr.isValid(ip)) return false
    const address = ipaddr.process(ip)
    return parsed.some(
      ([network, bits]) => network.kind() === address.kind() && address.match([network, bits]),
    )
  }
}
