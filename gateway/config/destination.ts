// Builds one destination from its entry in gateway.yaml and the files that the entry names.
import type { SpiffeIdPattern } from '../../spiffe/pattern.ts'
import { POSTGRES_ALPN } from '../upstream/starttls/postgres/wire.ts'
import { type BuildContext, readKeyPair, readRoots } from './context.ts'
import type { GatewayDocument } from './schema.ts'
import type { ClientCertificateEntry, Destination } from './types.ts'

type Entry = GatewayDocument['destinations'][number]
type Path = readonly (string | number)[]

/** Null after a fault. */
export async function buildDestination(
  entry: Entry,
  at: Path,
  context: BuildContext,
): Promise<Destination | null> {
  const roots = await buildRoots(entry, at, context)
  const clientCertificates: ClientCertificateEntry[] = []
  const listed = entry.clientCertificates ?? []
  for (const [index, { workloads, ...paths }] of listed.entries()) {
    const built = await buildClientCertificate(
      workloads,
      paths,
      [...at, 'clientCertificates', index],
      context,
    )
    if (built !== null) clientCertificates.push(built)
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
    },
  }
}

async function buildRoots(
  { roots }: Entry,
  at: Path,
  context: BuildContext,
): Promise<Destination['roots'] | null> {
  if (roots === undefined || roots === 'system') return 'system'
  return readRoots(roots.file, [...at, 'roots'], context)
}

/** id-kp-clientAuth, RFC 5280 §4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

async function buildClientCertificate(
  workloads: readonly SpiffeIdPattern[],
  paths: { readonly certificate: string; readonly key: string },
  at: Path,
  context: BuildContext,
): Promise<ClientCertificateEntry | null> {
  const { keyPair } = await readKeyPair(paths, at, context)
  if (keyPair === null) return null
  // Node types keyUsage as a list; it is undefined where the certificate has no extended key usage.
  const usages: readonly string[] | undefined = keyPair.leaf.keyUsage
  if (usages !== undefined && !usages.includes(CLIENT_AUTH)) {
    // Partners that pin the certificate take it all the same, so this is theirs to judge.
    const message = `${paths.certificate}: not for TLS clients (no clientAuth), which most servers refuse`
    context.warn([...at, 'certificate'], message, 'ask for a certificate with clientAuth')
  }
  return { workloads, keyPair }
}
