// Reads gateway.yaml and every file that it refers to, and finds all that is wrong with them at once. load.ts gives the
// result to the gateway, check.ts to `config check`.
import path from 'node:path'
import type { Fault } from '../../common/fault.ts'
import { formatKeyPath, type KeyPath } from '../../common/schema-faults.ts'
import { byLine, loadYamlFile } from '../../common/yaml-file.ts'
import type { BuildContext } from './context.ts'
import { buildDestination } from './destination.ts'
import { decodeText, FileError, type ReadFile, ReferencedFiles, readRegularFile } from './files.ts'
import { buildListeners } from './listeners.ts'
import { checkRules, type Report } from './rules.ts'
import { knownTrustDomains } from './rules-trust.ts'
import { GATEWAY_SCHEMA, type GatewayDocument } from './schema.ts'
import { buildTrust } from './trust.ts'
import type { CheckpointsConfig, GatewayConfig, TrustMaterial } from './types.ts'

export interface ReadOptions {
  /** Default: the file system. */
  readonly readFile?: ReadFile
  readonly now?: () => Date
  /** Default: that of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

/** What is to be compiled as policy, and what it may name. */
export interface PolicySource {
  readonly files: readonly { readonly name: string; readonly text: string }[]
  /** Of all workloads that can be let in. */
  readonly trustDomains: readonly string[]
  readonly networks: readonly string[]
  readonly destinations: readonly { readonly name: string; readonly tags: readonly string[] }[]
}

/**
 * Reads those files again as the gateway.yaml of this reading names them, and nothing else: what has become of that file,
 * of the policy or of a partner's certificate must not keep the gateway from its own new SVID.
 */
export type ReadTrust = () => Promise<{
  /** Null where there is any fault. */
  readonly material: TrustMaterial | null
  readonly faults: readonly Fault[]
}>

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
  readonly lineOf: (path: KeyPath) => number | null
  /** Null where gateway.yaml does not fit its schema or the policy cannot be read. */
  readonly policy: PolicySource | null
}

export async function readGatewayConfig(file: string, options: ReadOptions = {}): Promise<GatewayReading> {
  const { readFile = readRegularFile, now = () => new Date(), environment = process.env } = options
  const source = await readSource(file, readFile)
  if ('faults' in source) return failed(source.faults)
  const loaded = loadYamlFile({ file, text: source.text }, GATEWAY_SCHEMA)
  if (!loaded.ok) return failed(loaded.faults)
  const { value: document, lineOf } = loaded
  const faults: Fault[] = []
  const warnings: Fault[] = []
  const overridden: string[] = []
  const reportTo =
    (list: Fault[]): Report =>
    (key, message, remedy = null) => {
      list.push({ file, line: lineOf(key), key: formatKeyPath(key), message, remedy })
    }
  const report = reportTo(faults)
  const files = new ReferencedFiles({ file, bytes: source.bytes, readFile, report })
  checkRules(document, { report, lineOf })
  const context: BuildContext = {
    ...{ files, now: now(), report, environment },
    warn: reportTo(warnings),
    overridden: (name) => void overridden.push(name),
  }
  const built = await build(document, context)
  const policy = await readPolicy(document, context)
  const config =
    built === null || policy === null || faults.length > 0
      ? null
      : { ...built, policyFiles: policy.files, revision: files.revision() }
  const trustFiles = trustFilesOf(document).map((reference) => files.nameOf(reference))
  const readTrust: ReadTrust = async () => {
    const found: Fault[] = []
    const report = reportTo(found)
    const fresh = new ReferencedFiles({ file, bytes: source.bytes, readFile, report })
    const material = await buildTrust(document, {
      ...context,
      files: fresh,
      now: now(),
      report,
      warn: () => {},
    })
    return { material: found.length > 0 ? null : material, faults: byLine(found) }
  }
  return {
    config,
    faults: byLine(faults),
    warnings: byLine(warnings),
    overridden,
    trustFiles,
    readTrust,
    lineOf,
    policy,
  }
}

function failed(faults: readonly Fault[]): GatewayReading {
  return {
    config: null,
    faults,
    warnings: [],
    overridden: [],
    trustFiles: [],
    readTrust: async () => ({ material: null, faults }),
    lineOf: () => null,
    policy: null,
  }
}

type Source = { readonly bytes: Uint8Array; readonly text: string } | { readonly faults: readonly Fault[] }

async function readSource(file: string, readFile: ReadFile): Promise<Source> {
  const fail = (message: string, remedy: string | null): Source => ({
    faults: [{ file, line: null, key: null, message, remedy }],
  })
  if (file.startsWith('appconfig:')) {
    return fail('appconfig: is not available yet in this version of Sallyport', 'name a file')
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
  const material = await buildTrust(document, context)
  const listeners = material === null ? null : buildListeners(document, material, context)
  const destinations = []
  for (const [index, entry] of document.destinations.entries()) {
    const destination = await buildDestination(entry, ['destinations', index], context)
    if (destination !== null) destinations.push(destination)
  }
  if (material === null || listeners === null) return null
  if (destinations.length < document.destinations.length) return null
  const { audit, drain, arrivals, dns } = document
  const { timeout: timeoutMs, ...limits } = arrivals
  const { sink } = audit
  return {
    material,
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
    metrics: { emf: emfOf(document) },
    dns: {
      servers: dns.servers ?? [],
      minTtlMs: dns.minTtl,
      maxTtlMs: dns.maxTtl,
      negativeTtlMs: dns.negativeTtl,
      staleTtlMs: dns.staleTtl,
    },
    health: document.health.address,
    admin: document.admin.address,
    drain: { delayMs: drain.delay, deadlineMs: drain.deadline },
  }
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

async function readPolicy(document: GatewayDocument, context: BuildContext): Promise<PolicySource | null> {
  const files: { name: string; text: string }[] = []
  for (const [index, reference] of document.policy.files.entries()) {
    const key = ['policy', 'files', index]
    const content = await context.files.readApart(reference, key)
    if (content === null) return null
    const text = decodeText(content.bytes)
    if (text === null) {
      context.report(key, `${reference}: not text in UTF-8`)
      return null
    }
    files.push({ name: context.files.nameOf(reference), text })
  }
  return {
    files,
    trustDomains: knownTrustDomains(document),
    networks: document.networks.map(({ name }) => name),
    destinations: document.destinations,
  }
}

function trustFilesOf({ identity, trust, listeners }: GatewayDocument): readonly string[] {
  const { certificate, key, bundle } = identity.files
  return [
    ...[certificate, key, bundle],
    ...trust.flatMap((entry) => entry.bundle ?? entry.linkerd?.trustAnchors ?? []),
    ...listeners.flatMap((entry) =>
      entry.identity === undefined ? [] : [entry.identity.certificate, entry.identity.key],
    ),
  ]
}
