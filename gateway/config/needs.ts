// What gateway.yaml needs of the deployment around it: ports, resolvers, secrets. The deployment reads it when it is
// synthesized, and the validator function at every later configuration; the rest of the file is judged elsewhere.
import * as z from 'zod'
import { ConfigurationError } from '../../common/fault.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { isLoopback } from './rules.ts'
import { GATEWAY_SCHEMA } from './schema.ts'
import { SecretReference } from './secret-reference.ts'

const NEEDED = z.looseObject(
  GATEWAY_SCHEMA.pick({
    trustDomain: true,
    listeners: true,
    destinations: true,
    policy: true,
    arrivals: true,
    dns: true,
    health: true,
    admin: true,
    audit: true,
    revocations: true,
    lastKnownGood: true,
    drain: true,
  }).shape,
)

export interface ListenerNeed {
  readonly name: string
  readonly port: number
  readonly proxyProtocol: boolean
}

/** What a configuration can only have where the deployment gives it. Sorted, so that a template never changes by order. */
export interface GatewayNeeds {
  readonly trustDomain: string
  readonly listeners: readonly ListenerNeed[]
  readonly healthPort: number
  /** Null where it is on loopback, for nobody outside the task. */
  readonly adminPort: number | null
  /** TCP ports of destinations. */
  readonly egressPorts: readonly number[]
  /** ARNs as the file has them, without the field. */
  readonly secretArns: readonly string[]
  /** Resolvers of its own; empty = the VPC's, which no security group stands before. */
  readonly dnsServers: readonly { readonly host: string; readonly port: number }[]
  readonly policyFiles: readonly string[]
  readonly drain: { readonly delayMs: number; readonly deadlineMs: number }
  /** What a file can only name where the deployment has it: a list of revocations, a log, a place for checkpoints, a directory. */
  readonly places: readonly string[]
  /** Null where the file names no limit of its own: the gateway takes what `nofile` affords. */
  readonly connections: number | null
}

type Document = z.output<typeof NEEDED>

function secretsOf({ destinations }: Document): readonly string[] {
  return destinations.flatMap(({ clientCertificates = [], roots }) => {
    const references = clientCertificates.flatMap(({ certificate, key }) => [certificate, key])
    return [...references, roots].flatMap((value) => (value instanceof SecretReference ? [value.arn] : []))
  })
}

/** By the words of a fault. What is left out is the deployment's to say, by the environment. */
function placesOf({ audit, revocations, lastKnownGood }: Document): readonly string[] {
  const { sink, checkpoints } = audit
  const source = revocations?.source
  return [
    ...(sink.kind === 'file' ? [`audit records in the file ${sink.path}`] : []),
    ...(checkpoints === undefined
      ? []
      : [`checkpoints in ${checkpoints.kind === 's3' ? checkpoints.bucket : checkpoints.path}`]),
    ...(source === undefined
      ? []
      : [`revocations from ${typeof source === 'string' ? source : source.name}`]),
    ...(lastKnownGood === undefined ? [] : [`the directory ${lastKnownGood.directory}`]),
  ]
}

function sorted<T extends string | number>(values: readonly T[]): readonly T[] {
  return [...new Set(values)].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}

/** `10.0.0.2:53`, as the schema has checked it. */
function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
}

/** @throws ConfigurationError */
export function readGatewayNeeds(file: string, text: string): GatewayNeeds {
  const loaded = loadYamlFile({ file, text }, NEEDED)
  if (!loaded.ok) throw new ConfigurationError(loaded.faults)
  const document = loaded.value
  return {
    trustDomain: document.trustDomain,
    listeners: document.listeners.map(({ name, address, proxyProtocol }) => ({
      name,
      port: address.port,
      proxyProtocol: proxyProtocol?.required === true,
    })),
    healthPort: document.health.address.port,
    adminPort: isLoopback(document.admin.address.host) ? null : document.admin.address.port,
    egressPorts: sorted(document.destinations.flatMap(({ ports }) => ports)),
    secretArns: sorted(secretsOf(document)),
    dnsServers: (document.dns.servers ?? []).map(splitAddress),
    places: placesOf(document),
    policyFiles: document.policy.files,
    drain: { delayMs: document.drain.delay, deadlineMs: document.drain.deadline },
    connections: document.arrivals.connections ?? null,
  }
}
