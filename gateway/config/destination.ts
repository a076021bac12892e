// Builds one destination from its entry in gateway.yaml and the files that the entry names.
import { POSTGRES_ALPN } from '../upstream/starttls/postgres/wire.ts'
import { type BuildContext, type FileContext, readKeyPair, readRoots } from './context.ts'
import type { GatewayDocument } from './schema.ts'
import type { Reference } from './secret-reference.ts'
import type { ClientCertificateEntry, Destination, DestinationLimits, KeyPair } from './types.ts'

type Entry = GatewayDocument['destinations'][number]
type Path = readonly (string | number)[]

/** Null after a fault. */
export async function buildDestination(
  entry: Entry,
  at: Path,
  context: BuildContext,
): Promise<Destination | null> {
  const roots = await readDestinationRoots(entry.roots, [...at, 'roots'], context)
  const clientCertificates: ClientCertificateEntry[] = []
  const listed = entry.clientCertificates ?? []
  for (const [index, { workloads, ...from }] of listed.entries()) {
    const keyPair = await readClientKeyPair(from, [...at, 'clientCertificates', index], context)
    if (keyPair !== null) clientCertificates.push({ source: sourceOf(from), workloads, keyPair })
  }
  if (roots === null || clientCertificates.length < listed.length) return null
  const direct = entry.startTlsNegotiation === 'direct'
  const { name, hosts, ports, tags, tls, requestedAs, allowAddresses, connect, session } = entry
  return {
    ...{ name, hosts, ports, tags, tls, requestedAs, allowAddresses },
    ech: entry.ech ?? 'ignore',
    nameProof: entry.nameProof ?? 'required',
    serverNames: entry.serverNames ?? [],
    roots,
    clientCertificates,
    pins: entry.pins ?? [],
    serverName: entry.serverName ?? null,
    minVersion: entry.minVersion ?? 'TLSv1.2',
    alpn: direct ? [POSTGRES_ALPN] : (entry.alpn ?? []),
    startTls: entry.startTls ?? null,
    startTlsDirect: direct,
    connect: {
      timeoutMs: connect.timeout,
      attempts: connect.attempts,
      confirmMs: connect.confirm ?? null,
    },
    session: {
      idleTimeoutMs: session.idleTimeout,
      halfCloseTimeoutMs: session.halfCloseTimeout,
      maxDurationMs: session.maxDuration ?? null,
      atExpiry: session.atExpiry,
    },
    limits: entry.limits === undefined ? null : limitsOf(entry.limits),
  }
}

function limitsOf(limits: NonNullable<Entry['limits']>): DestinationLimits {
  return {
    sessions: limits.sessions ?? null,
    sessionsPerWorkload: limits.sessionsPerWorkload ?? null,
    newPerSecond: limits.newPerSecond ?? null,
    newPerSecondPerWorkload: limits.newPerSecondPerWorkload ?? null,
    bytesPerSecond: limits.bytesPerSecond ?? null,
    bytesPerSecondPerWorkload: limits.bytesPerSecondPerWorkload ?? null,
  }
}

function sourceOf({
  certificate,
  key,
}: {
  readonly certificate: Reference
  readonly key: Reference
}): string {
  return JSON.stringify([certificate, key].map(String))
}

/** Null after a fault. `at` is the key of the roots. */
export async function readDestinationRoots(
  roots: Entry['roots'],
  at: Path,
  context: FileContext,
): Promise<Destination['roots'] | null> {
  return roots === undefined || roots === 'system' ? 'system' : readRoots(roots.from, at, context)
}

/** id-kp-clientAuth, RFC 5280 §4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** Null after a fault. `at` is the entry of `clientCertificates`. */
export async function readClientKeyPair(
  from: { readonly certificate: Reference; readonly key: Reference },
  at: Path,
  context: FileContext,
): Promise<KeyPair | null> {
  const { keyPair } = await readKeyPair(from, at, context)
  if (keyPair === null) return null
  // Node types keyUsage as a list; it is undefined where the certificate has no extended key usage.
  const usages: readonly string[] | undefined = keyPair.leaf.keyUsage
  if (usages !== undefined && !usages.includes(CLIENT_AUTH)) {
    // Partners that pin the certificate take it all the same, so this is theirs to judge.
    const message = `${String(from.certificate)}: not for TLS clients (no clientAuth), which most servers refuse`
    context.warn([...at, 'certificate'], message, 'ask for a certificate with clientAuth')
  }
  return keyPair
}
