// Builds the listeners from their entries in gateway.yaml and the environment (design §5.5).
import ipaddr from 'ipaddr.js'
import type { BuildContext } from './context.ts'
import { canonicalRange } from './range.ts'
import type { GatewayDocument } from './schema.ts'
import { trustDomainOf } from './trust.ts'
import type { ListenerConfig, TrustMaterial } from './types.ts'

type Entry = GatewayDocument['listeners'][number]

export const PROXY_PROTOCOL_FROM = 'SALLYPORT_PROXY_PROTOCOL_FROM'

/** Null after a fault. */
export function buildListeners(
  document: GatewayDocument,
  material: TrustMaterial,
  { environment, report, overridden }: BuildContext,
): readonly ListenerConfig[] | null {
  const text = environment[PROXY_PROTOCOL_FROM] ?? ''
  const from = text === '' ? null : readRanges(text)
  if (from === 'malformed') {
    report([], `${PROXY_PROTOCOL_FROM}: expected ranges such as 10.0.0.0/16,10.1.0.0/16, found ${text}`)
    return null
  }
  if (from !== null) overridden(PROXY_PROTOCOL_FROM)
  const audience = ownId(material) ?? ''
  return document.listeners.map((entry) => build(entry, document, material, audience, from))
}

function build(
  entry: Entry,
  document: GatewayDocument,
  material: TrustMaterial,
  audience: string,
  from: readonly string[] | null,
): ListenerConfig {
  const { name, address, protocol, proxyProtocol } = entry
  return {
    name,
    address,
    protocol,
    minVersion: entry.minVersion ?? 'TLSv1.3',
    trustDomains: entry.trustDomains ?? defaultTrustDomains(entry, document, material),
    proxyProtocol:
      proxyProtocol?.required === true ? { from: createRangeTest(from ?? proxyProtocol.from) } : null,
    clientAuthentication: entry.clientAuthentication ?? 'svid',
    audience: entry.audience ?? audience,
    serverNames: new Map(Object.entries(entry.serverNames ?? {})),
    destination: entry.destination ?? null,
    startTls: entry.startTls ?? null,
    port: entry.port ?? null,
  }
}

/** Its own: that of the certificate which it shows. Linkerd's names are of the map's trust domains. */
function defaultTrustDomains(
  { name, protocol, identity }: Entry,
  { trustDomain }: GatewayDocument,
  { identities, linkerd }: TrustMaterial,
): readonly string[] {
  if (protocol === 'passthrough') return []
  const shown = identities.get(name)
  const own = identity === undefined || shown === undefined ? trustDomain : trustDomainOf(shown.leaf)
  const mapped = protocol === 'linkerd' ? (linkerd?.map.trustDomains ?? []) : []
  return [...new Set([...(own === null ? [] : [own]), ...mapped])]
}

/** The gateway's own SPIFFE ID: what tokens are for unless a listener says otherwise. */
function ownId({ identity }: TrustMaterial): string | null {
  const [, id] = /URI:(spiffe:[^,]+)/.exec(identity.leaf.subjectAltName ?? '') ?? []
  return id ?? null
}

function readRanges(text: string): readonly string[] | 'malformed' {
  const ranges = text.split(',').map((part) => canonicalRange(part.trim()))
  return ranges.some((range) => range?.exact !== true)
    ? 'malformed'
    : ranges.map((range) => range?.text ?? '')
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
