// What the schema of gateway.yaml cannot say: what must differ, and what makes no sense together. Runs on a document that
// fits the schema.
import path from 'node:path'
import type { KeyPath } from '../../common/schema-faults.ts'
import { claims } from '../destinations/match.ts'
import { checkExceptions } from './rules-addresses.ts'
import { checkListenerRules } from './rules-listeners.ts'
import { checkTrustRules, knownTrustDomains } from './rules-trust.ts'
import type { GatewayDocument } from './schema.ts'
import type { HostPort } from './types.ts'

export type Report = (path: KeyPath, message: string, remedy?: string | null) => void

export interface RuleContext {
  readonly report: Report
  readonly lineOf: (path: KeyPath) => number | null
}

type Destination = GatewayDocument['destinations'][number]

export function checkRules(document: GatewayDocument, context: RuleContext): void {
  checkListeners(document, context)
  checkAddresses(document, context)
  checkAdmin(document, context)
  checkDestinationNames(document, context)
  checkTies(document, context)
  checkListenerRules(document, context)
  checkTrustRules(document, context)
  checkDns(document, context)
  checkRepeats(document.policy.files, ['policy', 'files'], context)
  checkAudit(document, context)
  const known = knownTrustDomains(document)
  for (const [index, destination] of document.destinations.entries()) {
    const at = ['destinations', index] as const
    checkExceptions(destination, at, context)
    checkOpaque(destination, at, context)
    checkPassthrough(destination, at, context)
    checkStartTls(destination, at, context)
    checkWorkloads(destination, known, at, context)
    const { timeout, confirm } = destination.connect
    if (confirm !== undefined && confirm >= timeout) {
      context.report(
        [...at, 'connect', 'confirm'],
        'not shorter than connect.timeout, of which it is a part',
        'make it shorter',
      )
    }
    for (const key of ['ports', 'tags', 'pins', 'alpn', 'serverNames'] as const) {
      checkRepeats(destination[key] ?? [], [...at, key], context)
    }
  }
}

function checkDns({ dns }: GatewayDocument, { report }: RuleContext): void {
  if (dns.minTtl <= dns.maxTtl) return
  report(['dns', 'minTtl'], 'longer than dns.maxTtl', 'make minTtl shorter or maxTtl longer')
}

function checkAudit({ audit }: GatewayDocument, { report }: RuleContext): void {
  const { sink, checkpoints, checkpointRetentionDays } = audit
  if (sink.kind === 'file' && checkpoints?.kind === 'file' && samePath(sink.path, checkpoints.path)) {
    const message = 'is the file of audit.sink, so whoever rewrites one rewrites the other'
    report(['audit', 'checkpoints'], message, 'name a place that the gateway cannot rewrite')
  }
  if (checkpointRetentionDays !== undefined && checkpoints?.kind !== 's3') {
    report(
      ['audit', 'checkpointRetentionDays'],
      'is about checkpoints in S3 alone',
      'remove it, or say checkpoints: s3://<bucket>/<prefix>',
    )
  }
}

function samePath(a: string, b: string): boolean {
  return path.normalize(a) === path.normalize(b)
}

/** Start lines name listeners beside these two. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['admin', 'health'])

const OTHER_NAME = 'choose another name'

function checkListeners({ listeners }: GatewayDocument, { report, lineOf }: RuleContext): void {
  for (const [index, { name }] of listeners.entries()) {
    const path = ['listeners', index, 'name']
    if (RESERVED_NAMES.has(name))
      report(path, `"${name}" is the name of a port of the gateway's own`, OTHER_NAME)
    const first = listeners.findIndex((other) => other.name === name)
    if (first < index)
      report(path, `"${name}" is also ${where(['listeners', first, 'name'], lineOf)}`, OTHER_NAME)
  }
}

/** Two sockets on one port where their addresses overlap: the second would fail at start. */
function checkAddresses(
  { listeners, health, admin }: GatewayDocument,
  { report, lineOf }: RuleContext,
): void {
  const sockets: readonly { readonly path: KeyPath; readonly address: HostPort }[] = [
    ...listeners.map(({ address }, index) => ({ path: ['listeners', index, 'address'], address })),
    { path: ['health', 'address'], address: health.address },
    { path: ['admin', 'address'], address: admin.address },
  ]
  for (const [index, { path, address }] of sockets.entries()) {
    const other = sockets.slice(0, index).find((earlier) => overlap(earlier.address, address))
    if (other !== undefined) {
      report(
        path,
        `port ${address.port} is also that of ${where(other.path, lineOf)}`,
        'give each its own port',
      )
    }
  }
}

/** Whoever reaches the port may close every session. */
function checkAdmin({ admin, trustDomain }: GatewayDocument, { report }: RuleContext): void {
  if (admin.workloads === undefined) {
    if (isLoopback(admin.address.host)) return
    const remedy = `add workloads: ["spiffe://${trustDomain}/sallyport/admin/**"], or use 127.0.0.1`
    return report(['admin', 'address'], 'an address other than loopback wants mTLS', remedy)
  }
  for (const [index, { text }] of admin.workloads.entries()) {
    if (text.startsWith(`spiffe://${trustDomain}/sallyport/admin/`)) continue
    report(
      ['admin', 'workloads', index],
      `"${text}" is not under spiffe://${trustDomain}/sallyport/admin/`,
      'no workload that registrations give out at will may close sessions',
    )
  }
}

/** Whether two sockets cannot listen on both. */
export function overlap(a: HostPort, b: HostPort): boolean {
  const everywhere = (host: string) => host === '0.0.0.0' || host === '::'
  return a.port !== 0 && a.port === b.port && (a.host === b.host || everywhere(a.host) || everywhere(b.host))
}

export function isLoopback(host: string): boolean {
  return host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function checkDestinationNames({ destinations }: GatewayDocument, { report, lineOf }: RuleContext): void {
  const first = new Map<string, number>()
  for (const [index, { name }] of destinations.entries()) {
    const other = first.get(name)
    if (other === undefined) first.set(name, index)
    else {
      const place = where(['destinations', other, 'name'], lineOf)
      report(
        ['destinations', index, 'name'],
        `"${name}" is also ${place}`,
        'policy needs a name of its own for each',
      )
    }
  }
}

/** Which of two equal claims wins would depend on the order of the file. */
function checkTies({ destinations }: GatewayDocument, { report, lineOf }: RuleContext): void {
  const owners = new Map<string, KeyPath>()
  for (const [index, { hosts, ports, requestedAs }] of destinations.entries()) {
    const asked = requestedAs.map(({ host, port }) => [{ kind: 'address', address: host }, [port]] as const)
    const listed = hosts.map((host) => [host, ports] as const)
    for (const [at, [host, onPorts]] of [...listed, ...asked].entries()) {
      const path =
        at < hosts.length
          ? ['destinations', index, 'hosts', at]
          : ['destinations', index, 'requestedAs', at - hosts.length]
      const tied = new Map<string, string[]>()
      for (const claim of claims(host, [...new Set(onPorts)])) {
        const other = owners.get(claim)
        if (other === undefined) owners.set(claim, path)
        else {
          const place = where(other, lineOf)
          tied.set(place, [...(tied.get(place) ?? []), claim])
        }
      }
      for (const [place, taken] of tied) {
        report(path, `${taken.join(', ')} is also ${place}`, 'one host and port belong to one destination')
      }
    }
  }
}

/** Where the client speaks TLS to the service itself, the gateway has no say in it. */
function checkPassthrough(destination: Destination, at: KeyPath, { report }: RuleContext): void {
  if (destination.tls !== 'passthrough') {
    for (const key of PASSTHROUGH_ONLY) {
      if (destination[key] !== undefined) {
        report([...at, key], 'is about tls: passthrough alone', 'remove it')
      }
    }
    return
  }
  for (const key of ORIGINATE_ONLY) {
    if (destination[key] !== undefined) {
      report(
        [...at, key],
        'makes no sense with tls: passthrough, where the client speaks TLS itself',
        'use tls: originate',
      )
    }
  }
  if (destination.connect.confirm !== undefined) {
    report(
      [...at, 'connect', 'confirm'],
      'makes no sense with tls: passthrough, where nothing is confirmed',
      'remove it',
    )
  }
  const { nameProof, serverNames = [] } = destination
  for (const [index, host] of destination.hosts.entries()) {
    if (host.kind !== 'address' || nameProof === 'whenPresent' || serverNames.length > 0) continue
    report(
      [...at, 'hosts', index],
      'an address is no server name, so no ClientHello could ever prove it',
      'list in serverNames what the ClientHello names, or say nameProof: whenPresent',
    )
  }
}

/** Keys about the ClientHello that a client sends through the gateway. */
const PASSTHROUGH_ONLY = ['ech', 'nameProof', 'serverNames'] as const

/** Keys that only speak about TLS of the gateway's own. */
const ORIGINATE_ONLY = ['clientCertificates', 'roots', 'pins', 'serverName', 'minVersion', 'alpn'] as const

/** An upgrade needs somebody who makes it, and one way of doing so. */
function checkStartTls(destination: Destination, at: KeyPath, { report }: RuleContext): void {
  const { tls, startTls, startTlsNegotiation, alpn } = destination
  if (startTls !== undefined && tls === 'opaque') {
    report(
      [...at, 'startTls'],
      'makes no sense with tls: opaque, where bytes pass as they come',
      'use tls: originate',
    )
  }
  if (startTlsNegotiation === undefined) return
  const path = [...at, 'startTlsNegotiation']
  if (startTls !== 'postgres' || tls !== 'originate') {
    report(path, 'is about startTls: postgres with tls: originate alone', 'remove it')
  } else if (startTlsNegotiation === 'direct' && alpn !== undefined) {
    report([...at, 'alpn'], 'is postgresql with startTlsNegotiation: direct, and nothing else', 'remove it')
  }
}

function checkOpaque(destination: Destination, at: KeyPath, { report }: RuleContext): void {
  if (destination.tls !== 'opaque') return
  for (const key of ORIGINATE_ONLY) {
    if (destination[key] !== undefined) {
      report(
        [...at, key],
        'makes no sense with tls: opaque, where the gateway speaks no TLS',
        'use tls: originate',
      )
    }
  }
  if (destination.connect.confirm !== undefined) {
    report(
      [...at, 'connect', 'confirm'],
      'makes no sense with tls: opaque, where nothing is confirmed',
      'remove it',
    )
  }
  for (const [index, host] of destination.hosts.entries()) {
    if (host.kind === 'suffix' || host.kind === 'any') {
      const message = 'a pattern is no host for tls: opaque, where nothing proves the name'
      report([...at, 'hosts', index], message, 'list exact names or addresses')
    }
  }
}

/** A pattern that no workload can ever match is a client certificate that is never presented. */
function checkWorkloads(
  destination: Destination,
  known: readonly string[],
  at: KeyPath,
  { report }: RuleContext,
): void {
  for (const [entry, { workloads }] of (destination.clientCertificates ?? []).entries()) {
    for (const [index, pattern] of workloads.entries()) {
      if (known.includes(pattern.text.split('/')[2] ?? '')) continue
      const path = [...at, 'clientCertificates', entry, 'workloads', index]
      report(
        path,
        `"${pattern.text}" matches nobody: workloads come from trust domain ${known.join(', ')} alone`,
        'remove it, or write the right trust domain',
      )
    }
  }
}

function checkRepeats(values: readonly (string | number)[], at: KeyPath, { report }: RuleContext): void {
  for (const [index, value] of values.entries()) {
    if (values.indexOf(value) < index)
      report([...at, index], `${value} stands here twice`, 'remove one of them')
  }
}

function where(path: KeyPath, lineOf: (path: KeyPath) => number | null): string {
  const line = lineOf(path)
  const [list = '', index] = path
  const place = typeof index === 'number' ? `${list}[${index}]` : String(list)
  return line === null ? place : `${place} at line ${line}`
}
