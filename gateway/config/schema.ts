// The form of gateway.yaml: which keys there are, what each holds and what it is where it is left out.
import * as z from 'zod'
import { identity } from './schema-identity.ts'
import { arrivals, listener } from './schema-listeners.ts'
import { network, trust } from './schema-trust.ts'
import { START_TLS_NAMES } from '../upstream/starttls/types.ts'
import { DEFAULT_DIRECTORY } from './last-known-good.ts'
import * as values from './values.ts'

const tlsVersion = z.enum(['TLSv1.2', 'TLSv1.3'])

const clientCertificate = z.strictObject({
  workloads: z.array(values.workloads).min(1).max(256),
  certificate: values.material,
  key: values.material,
})

const connect = z.strictObject({
  timeout: values.duration('1ms', '10m').default(10_000),
  attempts: z.int().min(1).max(10).default(3),
  confirm: values.duration('1ms', '30s').optional(),
})

const session = z.strictObject({
  idleTimeout: values.duration('1ms', '24h').default(3_600_000),
  halfCloseTimeout: values.duration('1ms', '24h').default(600_000),
  maxDuration: values.duration('1ms', '168h').optional(),
  atExpiry: z.enum(['renewed', 'close', 'keep']).default('renewed'),
})

const policyMode = z.enum(['enforce', 'report'])

/** Per process. */
const limits = z.strictObject({
  sessions: z.int().min(1).max(1_000_000).optional(),
  sessionsPerWorkload: z.int().min(1).max(1_000_000).optional(),
  newPerSecond: z.int().min(1).max(1_000_000).optional(),
  newPerSecondPerWorkload: z.int().min(1).max(1_000_000).optional(),
  bytesPerSecond: values.size('1KiB', '64GiB').optional(),
  bytesPerSecondPerWorkload: values.size('1KiB', '64GiB').optional(),
})

// What only `originate` reads has no default here, so that the rules can tell whether it stands in the file.
const destination = z.strictObject({
  name: values.name,
  hosts: z.array(values.hostPattern).min(1).max(1024),
  ports: z.array(z.int().min(1).max(65_535)).min(1).max(256),
  requestedAs: z.array(values.addressAndPort).max(256).default([]),
  tags: z.array(values.name).max(64).default([]),
  tls: z.enum(['originate', 'opaque', 'passthrough']).default('originate'),
  ech: z.enum(['ignore', 'refuse']).optional(),
  clientCertificates: z.array(clientCertificate).min(1).max(256).optional(),
  roots: values.roots.optional(),
  pins: z.array(values.pin).min(1).max(64).optional(),
  serverName: values.serverName.optional(),
  minVersion: tlsVersion.optional(),
  alpn: z.array(values.alpnProtocol).max(32).optional(),
  startTls: z.enum(START_TLS_NAMES).optional(),
  startTlsNegotiation: z.enum(['request', 'direct']).optional(),
  nameProof: z.enum(['required', 'whenPresent']).optional(),
  serverNames: z.array(values.proofName).min(1).max(256).optional(),
  allowAddresses: z.array(values.addressRange).max(256).default([]),
  policyMode: policyMode.optional(),
  connect: connect.prefault({}),
  session: session.prefault({}),
  limits: limits.optional(),
})

const policy = z.strictObject({
  files: z.array(values.filePath).min(1).max(256),
  mode: policyMode.default('enforce'),
})

const audit = z.strictObject({
  sink: values.auditSink.prefault('stdout'),
  onFailure: z.enum(['refuse', 'continue']).default('refuse'),
  maxBacklog: values.size('16KiB', '1GiB').prefault('8MiB'),
  checkpoints: values.checkpoints.optional(),
  checkpointRetentionDays: z.int().min(1).max(36_500).optional(),
})

const metrics = z.strictObject({
  emf: z
    .strictObject({
      namespace: values.metricNamespace.prefault('Sallyport'),
      interval: values.duration('1s', '1h').prefault('60s'),
    })
    .optional(),
})

const dns = z.strictObject({
  servers: z.array(values.dnsServer).min(1).max(8).optional(),
  minTtl: values.duration('0s', '1h').prefault('1s'),
  maxTtl: values.duration('1s', '24h').prefault('5m'),
  negativeTtl: values.duration('0s', '1h').prefault('5s'),
  staleTtl: values.duration('0s', '72h').prefault('1h'),
})

const drain = z.strictObject({
  delay: values.duration('0s', '1h').prefault('15s'),
  deadline: values.duration('0s', '24h').prefault('100s'),
})

const lastKnownGood = z.strictObject({
  directory: values.filePath.default(DEFAULT_DIRECTORY),
  maxAge: values.duration('1s', '576h').prefault('24h'),
})

const admin = z.strictObject({
  address: values.listenAddress,
  /** With it, the port speaks mTLS. */
  workloads: z.array(values.workloads).min(1).max(64).optional(),
})

export const GATEWAY_SCHEMA = z.strictObject({
  version: z.literal(1),
  trustDomain: values.trustDomain,
  identity,
  trust: z.array(trust).max(64).default([]),
  networks: z.array(network).max(256).default([]),
  arrivals: arrivals.prefault({}),
  listeners: z.array(listener).min(1).max(64),
  destinations: z.array(destination).max(10_000),
  policy,
  revocations: z.strictObject({ source: values.revocationSource }).optional(),
  audit: audit.prefault({}),
  metrics: metrics.prefault({}),
  addresses: z.strictObject({ vpcCidrs: z.array(values.vpcCidr).max(64).default([]) }).prefault({}),
  secrets: z.strictObject({ interval: values.duration('10s', '24h').prefault('5m') }).prefault({}),
  dns: dns.prefault({}),
  health: z.strictObject({ address: values.listenAddress }).prefault({ address: '0.0.0.0:9902' }),
  admin: admin.prefault({ address: '127.0.0.1:9901' }),
  drain: drain.prefault({}),
  lastKnownGood: lastKnownGood.optional(),
})

/** gateway.yaml as it fits the schema; files are still paths. */
export type GatewayDocument = z.infer<typeof GATEWAY_SCHEMA>
