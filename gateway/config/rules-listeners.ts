// What the schema cannot say of listeners, trust and networks: which keys go with which protocol, and which destinations
// a listener may name.
import type { KeyPath } from '../../common/schema-faults.ts'
import { nearest } from '../../common/nearest.ts'
import type { RuleContext } from './rules.ts'
import type { GatewayDocument } from './schema.ts'
import type { Protocol } from './types.ts'

type Listener = GatewayDocument['listeners'][number]

/** Keys that some protocols alone have; all others have them not. */
const KEYS: Readonly<Record<string, readonly Protocol[]>> = {
  minVersion: ['connect', 'hbone', 'linkerd', 'sni', 'fixed'],
  identity: ['connect', 'hbone', 'linkerd', 'sni', 'fixed'],
  trustDomains: ['connect', 'hbone', 'linkerd', 'sni', 'fixed'],
  clientAuthentication: ['connect'],
  audience: ['connect'],
  serverNames: ['sni'],
  destination: ['fixed'],
  startTls: ['fixed'],
  port: ['passthrough'],
}
const REQUIRED: Readonly<Partial<Record<Protocol, 'serverNames' | 'destination'>>> = {
  sni: 'serverNames',
  fixed: 'destination',
}

export function checkListenerRules(document: GatewayDocument, context: RuleContext): void {
  for (const [index, listener] of document.listeners.entries()) {
    const at = ['listeners', index] as const
    checkKeys(listener, at, context)
    checkDestinations(listener, document, at, context)
    checkTrustDomains(listener, document, at, context)
    checkNetworksNeeded(listener, document, at, context)
  }
  checkTrust(document, context)
  checkNetworks(document, context)
  checkRequestedAs(document, context)
}

function checkKeys(listener: Listener, at: KeyPath, { report }: RuleContext): void {
  const { protocol } = listener
  for (const [key, protocols] of Object.entries(KEYS)) {
    if (listener[key as keyof Listener] === undefined || protocols.includes(protocol)) continue
    report(
      [...at, key],
      `makes no sense with protocol: ${protocol}`,
      `remove it, or use ${protocols.join(', ')}`,
    )
  }
  const required = REQUIRED[protocol]
  if (required !== undefined && listener[required] === undefined) {
    report([...at, required], `missing, and protocol: ${protocol} needs it`, 'add it')
  }
  if (listener.audience !== undefined && listener.clientAuthentication !== 'svid-or-token') {
    report([...at, 'audience'], 'is read with clientAuthentication: svid-or-token alone', 'remove it')
  }
}

/** One request stands behind a name or a port, so there must be one host and one port. */
function checkDestinations(
  { serverNames, destination }: Listener,
  { destinations }: GatewayDocument,
  at: KeyPath,
  { report }: RuleContext,
): void {
  const named: (readonly [KeyPath, string])[] = Object.entries(serverNames ?? {}).map(
    ([name, target]) => [[...at, 'serverNames', name], target] as const,
  )
  if (destination !== undefined) named.push([[...at, 'destination'], destination])
  for (const [key, target] of named) {
    const found = destinations.find(({ name }) => name === target)
    if (found === undefined) {
      const near = nearest(
        target,
        destinations.map(({ name }) => name),
      )?.word
      report(
        key,
        `there is no destination ${target}`,
        near === undefined ? 'add it' : `did you mean ${near}?`,
      )
    } else if (!isSingle(found)) {
      report(
        key,
        `${target} has not exactly one exact host and one port, so nobody could tell what is asked for`,
        'give it one host and one port',
      )
    }
  }
}

function isSingle({ hosts, ports }: GatewayDocument['destinations'][number]): boolean {
  const [host, ...more] = hosts
  const exact = host !== undefined && (host.kind === 'exact' || host.kind === 'address')
  return exact && more.length === 0 && ports.length === 1
}

function checkTrustDomains(
  { trustDomains = [] }: Listener,
  { trustDomain, trust }: GatewayDocument,
  at: KeyPath,
  { report }: RuleContext,
): void {
  const known = new Set([trustDomain, ...trust.flatMap((entry) => entry.trustDomain ?? [])])
  const mapped = trust.flatMap(({ linkerd }) => Object.values(linkerd?.map ?? {}))
  for (const [index, name] of trustDomains.entries()) {
    if (known.has(name) || mapped.some((id) => id.startsWith(`spiffe://${name}/`))) continue
    report([...at, 'trustDomains', index], `there is no bundle for ${name}`, 'add it to trust')
  }
}

function checkNetworksNeeded(
  { protocol }: Listener,
  { networks, destinations }: GatewayDocument,
  at: KeyPath,
  { report }: RuleContext,
): void {
  if (protocol !== 'passthrough') return
  if (networks.length === 0) {
    report([...at, 'protocol'], 'passthrough lets in by networks, and there are none', 'add networks')
  }
  if (!destinations.some(({ tls }) => tls === 'passthrough')) {
    report(
      [...at, 'protocol'],
      'no destination says tls: passthrough, so nothing could be asked for',
      'add one',
    )
  }
}

function checkTrust({ trustDomain, trust }: GatewayDocument, { report }: RuleContext): void {
  const seen = new Set([trustDomain])
  let linkerd = 0
  for (const [index, entry] of trust.entries()) {
    if (entry.linkerd !== undefined && ++linkerd > 1) {
      report(['trust', index, 'linkerd'], 'stands here twice', 'put all entries into one map')
    }
    if (entry.trustDomain === undefined) continue
    if (seen.has(entry.trustDomain)) {
      report(
        ['trust', index, 'trustDomain'],
        `${entry.trustDomain} has a bundle already`,
        'remove one of them',
      )
    }
    seen.add(entry.trustDomain)
  }
}

/** The closest range wins; between two of one length, and for one endpoint in two networks, nothing would decide. */
function checkNetworks({ networks }: GatewayDocument, { report }: RuleContext): void {
  const owners = new Map<string, string>()
  const names = new Set<string>()
  for (const [index, { name, sources, vpcEndpoints }] of networks.entries()) {
    if (names.has(name))
      report(['networks', index, 'name'], `"${name}" stands here twice`, 'choose another name')
    names.add(name)
    for (const [key, list] of Object.entries({ sources, vpcEndpoints })) {
      for (const [place, value] of list.entries()) {
        const owner = owners.get(value)
        if (owner !== undefined) {
          report(['networks', index, key, place], `${value} is also of ${owner}`, 'remove one of them')
        }
        owners.set(value, name)
      }
    }
  }
}

function checkRequestedAs({ destinations }: GatewayDocument, { report }: RuleContext): void {
  for (const [index, destination] of destinations.entries()) {
    if (destination.requestedAs.length === 0 || isSingle(destination)) continue
    report(
      ['destinations', index, 'requestedAs'],
      'needs exactly one exact host and one port, which are dialled instead',
      'give the destination one host and one port',
    )
  }
}
