// Reads gateway.yaml and every file that it refers to, and finds all that is wrong with them at once. load.ts gives the
// result to the gateway, check.ts to `config check`.
import path from 'node:path'
import type { Fault } from '../../common/fault.ts'
import { formatKeyPath, type KeyPath } from '../../common/schema-faults.ts'
import { byLine, loadYamlFile } from '../../common/yaml-file.ts'
import { ownNetwork } from '../upstream/address-class.ts'
import type { AppConfigOptions } from './appconfig.ts'
import { type AuthoritySource, buildAuthority } from './authority.ts'
import type { BuildContext } from './context.ts'
import { buildDestination } from './destination.ts'
import { applyEnvironment } from './environment.ts'
import { describePartners, type PartnerReading, secretsOf } from './partners.ts'
import { decodeText, FileError, type ReadFile, ReferencedFiles, readRegularFile } from './files.ts'
import { buildListeners } from './listeners.ts'
import { type PolicySource, readPolicySource } from './policy-source.ts'
import {
  createAppConfigRevocations,
  createFileRevocations,
  type RevocationReading,
  type RevocationSource,
} from './revocations.ts'
import { warnOfUnreachable } from './rules-addresses.ts'
import { knownTrustDomains } from './rules-trust.ts'
import { checkRules, type Report } from './rules.ts'
import { GATEWAY_SCHEMA, type GatewayDocument } from './schema.ts'
import { type ReadSecret, ReferencedSecrets } from './secrets.ts'
import { createReadSecret } from './secrets-manager.ts'
import { buildTrust, trustFilesOf } from './trust.ts'
import type { CheckpointsConfig, GatewayConfig, IssuedIdentity, TrustMaterial } from './types.ts'

export interface ReadOptions {
  /** Default: the file system. */
  readonly readFile?: ReadFile
  readonly now?: () => Date
  /** How AWS AppConfig is asked. */
  readonly appConfig?: AppConfigOptions
  /** Null: secrets are not read, only the form of references is checked. Default: AWS Secrets Manager. */
  readonly readSecret?: ReadSecret | null
  /** Default: that of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** What the authority has issued to this gateway; default: nothing. */
  readonly issued?: () => IssuedIdentity | null
}

/**
 * Reads those files again as the gateway.yaml of this reading names them, and nothing else: what has become of that file,
 * of the policy or of a partner's certificate must not keep the gateway from its own new SVID.
 */
export type ReadTrust = () => Promise<{
  /** Null where there is any fault, and until the authority has issued the gateway's own identity. */
  readonly material: TrustMaterial | null
  readonly faults: readonly Fault[]
}>

/** The list as it was read with the rest, and how it is read again. */
export interface ReadRevocations extends RevocationSource {
  /** Null where it comes from afar and was not asked for yet. */
  readonly first: RevocationReading | null
}

export interface GatewayReading {
  /** Null where there is any fault. */
  readonly config: GatewayConfig | null
  /** By line. */
  readonly faults: readonly Fault[]
  readonly warnings: readonly Fault[]
  /** Variables of the environment that won over the file. */
  readonly overridden: readonly string[]
  /** Where certificates, keys and roots for identity and trust are read from. */
  readonly trustFiles: readonly string[]
  readonly readTrust: ReadTrust
  /** Who issues the gateway's own identity; null = it comes from files. */
  readonly authority: AuthoritySource | null
  /** Null where the configuration has no list. */
  readonly revocations: ReadRevocations | null
  /** Certificates, keys and roots of destinations. */
  readonly partners: PartnerReading
  /** What this reading looked at: gateway.yaml and all that it names, the revocation list apart. */
  readonly files: readonly string[]
  readonly lineOf: (path: KeyPath) => number | null
  /** Null where gateway.yaml does not fit its schema or the policy cannot be read. */
  readonly policy: PolicySource | null
}

export async function readGatewayConfig(file: string, options: ReadOptions = {}): Promise<GatewayReading> {
  const { readFile = readRegularFile, now = () => new Date(), environment = process.env } = options
  const { readSecret = createReadSecret(), issued = () => null } = options
  const source = await readSource(file, readFile)
  if ('faults' in source) return failed(source.faults, file)
  const loaded = loadYamlFile({ file, text: source.text }, GATEWAY_SCHEMA)
  if (!loaded.ok) return failed(loaded.faults, file)
  const { value: written, lineOf } = loaded
  const faults: Fault[] = []
  const warnings: Fault[] = []
  const overridden: string[] = []
  const reportTo =
    (list: Fault[]): Report =>
    (key, message, remedy = null) => {
      list.push({ file, line: lineOf(key), key: formatKeyPath(key), message, remedy })
    }
  const report = reportTo(faults)
  const overriding = (name: string) => void overridden.push(name)
  const document = applyEnvironment(written, { environment, report, overridden: overriding })
  const files = new ReferencedFiles({ file, bytes: source.bytes, readFile, report })
  checkRules(document, { report, lineOf })
  const secrets = new ReferencedSecrets(readSecret, report)
  const context: BuildContext = {
    ...{ files, secrets, now: now(), report, environment, issued },
    warn: reportTo(warnings),
    overridden: overriding,
  }
  await readSecrets(document, context)
  const authority = await buildAuthority(document, readFile, context)
  const built = await build(document, context)
  const policy = await readPolicySource(document, context)
  const revocations = await readRevocations(document, files, readFile, options.appConfig ?? {})
  const config =
    built === null || policy === null || faults.length > 0
      ? null
      : { ...built, policyFiles: policy.files, revision: files.revision() }
  const trustFiles = trustFilesOf(document).map((reference) => files.nameOf(reference))
  const readTrust: ReadTrust = async () => {
    const found: Fault[] = []
    const report = reportTo(found)
    const fresh = new ReferencedFiles({ file, bytes: source.bytes, readFile, report })
    const built = await buildTrust(document, {
      ...context,
      files: fresh,
      now: now(),
      report,
      warn: () => {},
    })
    return { material: found.length > 0 ? null : (built?.material ?? null), faults: byLine(found) }
  }
  const partners = describePartners(
    document.destinations,
    document.secrets.interval,
    (reference) => files.nameOf(reference),
    (readSecret) => {
      const found: Fault[] = []
      const report = reportTo(found)
      const fresh = {
        files: new ReferencedFiles({ file, bytes: source.bytes, readFile, report }),
        secrets: new ReferencedSecrets(readSecret, report),
      }
      const context = { ...fresh, now: now(), report, warn: () => {} }
      return { context, takeFaults: () => byLine(found.splice(0)) }
    },
  )
  return {
    config,
    faults: byLine(faults),
    warnings: byLine(warnings),
    overridden,
    trustFiles,
    readTrust,
    authority,
    revocations,
    files: [file, ...files.names],
    partners,
    lineOf,
    policy,
  }
}

function failed(faults: readonly Fault[], file: string): GatewayReading {
  return {
    config: null,
    faults,
    warnings: [],
    overridden: [],
    trustFiles: [],
    readTrust: async () => ({ material: null, faults }),
    authority: null,
    revocations: null,
    files: [file],
    partners: { parts: [], secretsIntervalMs: 0, read: async () => new Map() },
    lineOf: () => null,
    policy: null,
  }
}

/** All at once, since a way that is blocked takes each of them its time-out. One warning where none is read. */
async function readSecrets({ destinations }: GatewayDocument, context: BuildContext): Promise<void> {
  const named = secretsOf(destinations)
  const [first] = named
  if (first === undefined) return
  if (!context.secrets.offline) return context.secrets.fetch(named.map(({ secret }) => secret))
  context.warn(
    first.key,
    `secrets are not read here: of ${named.length} reference(s) to Secrets Manager the form alone is checked`,
    'the gateway reads them when it starts',
  )
}

/** A configuration file as text, or why there is none. */
export type Source =
  | { readonly bytes: Uint8Array; readonly text: string }
  | { readonly faults: readonly Fault[] }

export async function readSource(file: string, readFile: ReadFile): Promise<Source> {
  const fail = (message: string, remedy: string | null): Source => ({
    faults: [{ file, line: null, key: null, message, remedy }],
  })
  if (file.startsWith('appconfig:')) {
    return fail('a profile of AppConfig is read by the gateway alone', 'name a file')
  }
  try {
    const { bytes } = await readFile(file)
    const text = decodeText(bytes)
    return text === null ? fail('not text in UTF-8', 'name a gateway.yaml') : { bytes, text }
  } catch (error) {
    if (error instanceof FileError) return fail(error.message, 'name a gateway.yaml that can be read')
    throw error
  }
}

/** Two server flights, about a millisecond of signing: so long live relays wait for a turn (docs/overload.md). */
const STARTS_PER_TURN = 2

type Built = Omit<GatewayConfig, 'policyFiles' | 'revision'>

/** Everything but policy; null after a fault. */
async function build(document: GatewayDocument, context: BuildContext): Promise<Built | null> {
  const trust = await buildTrust(document, context)
  const listeners = trust === null ? null : buildListeners(document, trust, context)
  const destinations = []
  const network = ownNetwork(document.addresses.vpcCidrs)
  for (const [index, entry] of document.destinations.entries()) {
    warnOfUnreachable(entry, ['destinations', index], context, network)
    const destination = await buildDestination(entry, ['destinations', index], context)
    if (destination !== null) destinations.push(destination)
  }
  if (trust === null || listeners === null) return null
  if (destinations.length < document.destinations.length) return null
  const { audit, drain, arrivals, dns, lastKnownGood } = document
  const { timeout: timeoutMs, ...limits } = arrivals
  const { sink } = audit
  return {
    material: trust.material,
    listeners,
    destinations,
    trustDomain: document.trustDomain,
    networks: document.networks,
    arrivals: {
      ...limits,
      connections: limits.connections ?? null,
      timeoutMs,
      startsPerTurn: STARTS_PER_TURN,
    },
    audit: {
      sink: sink.kind === 'file' ? resolved(sink, context) : sink,
      onFailure: audit.onFailure,
      maxBacklogBytes: audit.maxBacklog,
      checkpoints: checkpointsOf(document, context),
    },
    vpcCidrs: document.addresses.vpcCidrs,
    metrics: { emf: emfOf(document) },
    dns: {
      servers: dns.servers ?? [],
      minTtlMs: dns.minTtl,
      maxTtlMs: dns.maxTtl,
      negativeTtlMs: dns.negativeTtl,
      staleTtlMs: dns.staleTtl,
    },
    health: document.health.address,
    admin: { ...document.admin.address, workloads: document.admin.workloads ?? null },
    drain: { delayMs: drain.delay, deadlineMs: drain.deadline },
    lastKnownGood:
      lastKnownGood === undefined
        ? null
        : { directory: path.resolve(lastKnownGood.directory), maxAgeMs: lastKnownGood.maxAge },
  }
}

async function readRevocations(
  { revocations, destinations, ...trusting }: GatewayDocument,
  files: ReferencedFiles,
  readFile: ReadFile,
  appConfig: AppConfigOptions,
): Promise<ReadRevocations | null> {
  if (revocations === undefined) return null
  const names = { trustDomains: knownTrustDomains(trusting), destinations }
  const { source: from } = revocations
  const source =
    typeof from === 'string'
      ? createFileRevocations(files.nameOf(from), readFile, names)
      : createAppConfigRevocations(from, appConfig, names)
  return { ...source, first: await source.read() }
}

function resolved(file: { kind: 'file'; path: string }, { files }: BuildContext) {
  return { kind: file.kind, path: path.resolve(files.nameOf(file.path)) }
}

function checkpointsOf({ audit }: GatewayDocument, context: BuildContext): CheckpointsConfig | null {
  const { checkpoints, checkpointRetentionDays: retentionDays = null } = audit
  if (checkpoints === undefined) return null
  return checkpoints.kind === 'file' ? resolved(checkpoints, context) : { ...checkpoints, retentionDays }
}

function emfOf({ metrics: { emf } }: GatewayDocument): GatewayConfig['metrics']['emf'] {
  return emf === undefined ? null : { namespace: emf.namespace, intervalMs: emf.interval }
}
