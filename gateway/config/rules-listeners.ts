// What the schema cannot say of listeners: which keys go with which protocol, and which destinations a listener may name.
import type { KeyPath } from '../../common/schema-faults.ts'
import { nearest } from '../../common/nearest.ts'
import type { RuleContext } from './rules.ts'
import { bundledTrustDomains, knownTrustDomains } from './rules-trust.ts'
import type { GatewayDocument } from './schema.ts'
import type { Protocol } from './types.ts'

type Listener = GatewayDocument['listeners'][number]
type Destination = GatewayDocument['destinations'][number]

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
    checkPassthroughListener(listener, document, at, context)
  }
  for (const [index, destination] of document.destinations.entries()) {
    checkRequestedAs(destination, ['destinations', index], context)
  }
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
  { protocol, serverNames = [], destination }: Listener,
  { destinations }: GatewayDocument,
  at: KeyPath,
  { report }: RuleContext,
): void {
  const named: (readonly [KeyPath, string])[] = []
  if (protocol === 'sni') {
    for (const entry of serverNames) named.push([[...at, 'serverNames', entry.text], entry.destination])
  }
  if (protocol === 'fixed' && destination !== undefined) named.push([[...at, 'destination'], destination])
  for (const [key, target] of named) {
    const found = destinations.find(({ name }) => name === target)
    if (found === undefined)
      report(key, `there is no destination ${target}`, suggestion(target, destinations))
    else if (!isSingle(found)) {
      report(
        key,
        `${target} has not exactly one exact host and one port, so nobody could tell what is asked for`,
        'give it one host and one port',
      )
    }
  }
}

function suggestion(target: string, destinations: readonly Destination[]): string {
  const names = destinations.map(({ name }) => name)
  const near = nearest(target, names)
  return near !== null && near.edits <= Math.max(2, target.length / 3)
    ? `did you mean ${near.word}?`
    : 'add it'
}

function isSingle({ hosts, ports }: Destination): boolean {
  const [host, ...more] = hosts
  const exact = host !== undefined && (host.kind === 'exact' || host.kind === 'address')
  return exact && more.length === 0 && ports.length === 1
}

function checkTrustDomains(
  { protocol, trustDomains = [] }: Listener,
  document: GatewayDocument,
  at: KeyPath,
  { report }: RuleContext,
): void {
  // Names are mapped on `linkerd` listeners alone.
  const known = protocol === 'linkerd' ? knownTrustDomains(document) : bundledTrustDomains(document)
  for (const [index, name] of trustDomains.entries()) {
    const path = [...at, 'trustDomains', index]
    if (trustDomains.indexOf(name) < index) report(path, `${name} stands here twice`, 'remove one of them')
    else if (!known.includes(name)) report(path, `there is no bundle for ${name}`, 'add it to trust')
  }
}

function checkPassthroughListener(
  { protocol, port }: Listener,
  { networks, destinations }: GatewayDocument,
  at: KeyPath,
  { report }: RuleContext,
): void {
  if (protocol !== 'passthrough') return
  if (networks.length === 0) {
    report([...at, 'protocol'], 'passthrough lets in by networks, and there are none', 'add networks')
  }
  const reached = destinations.filter(({ tls }) => tls === 'passthrough')
  if (reached.length === 0) {
    report(
      [...at, 'protocol'],
      'no destination says tls: passthrough, so nothing could be asked for',
      'add one',
    )
  } else if (port !== undefined && !reached.some(({ ports }) => ports.includes(port))) {
    report(
      [...at, 'port'],
      `no destination with tls: passthrough has port ${port}, so nothing could be asked for`,
      'name one of their ports',
    )
  }
}

function checkRequestedAs(destination: Destination, at: KeyPath, { report }: RuleContext): void {
  if (destination.requestedAs.length === 0 || isSingle(destination)) return
  report(
    [...at, 'requestedAs'],
    'needs exactly one exact host and one port, which are dialled instead',
    'give the destination one host and one port',
  )
}
