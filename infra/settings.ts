// The settings of one deployment: what there is to choose, each with its default, checked before anything is made. What
// the gateway and the authority do is said in gateway.yaml, policy.cedar and identity.yaml; here stands where they run.
import * as z from 'zod'
import { ConfigurationError } from '../common/fault.ts'
import { expectation, faultsOf } from '../common/schema-faults.ts'
import * as values from './settings-values.ts'

/** The days that CloudWatch Logs can keep logs for (PutRetentionPolicy). */
const RETENTION_DAYS = [
  30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
]
/** Fargate's sizes of one vCPU: more of them would idle, since a task is one process (docs/deploy.md). */
const MEMORY_MIB = [2048, 3072, 4096, 5120, 6144, 7168, 8192]

const existingVpc = z.strictObject({
  vpcId: values.resourceId('vpc'),
  cidr: values.cidr,
  availabilityZones: z.array(z.string()).min(1).max(6),
  /** With a way out by NAT, one for each availability zone and in that order. */
  privateSubnetIds: z.array(values.resourceId('subnet')).min(1).max(6),
  privateSubnetRouteTableIds: z.array(values.resourceId('rtb')).min(1).max(6),
})

const network = z
  .strictObject({
    /** A VPC that is there; without it one is made. */
    existing: existingVpc.optional(),
    cidr: values.cidr.default('10.64.0.0/16'),
    /** Written out because a look-up would need credentials at synth. Default: `a` and `b` of the region. */
    availabilityZones: z.array(z.string()).min(2).max(6).optional(),
    natGateways: z.enum(['one', 'perZone']).default('one'),
    /** Elastic IPs of your own, as partners know them already. Default: new ones, which stay when the stack goes. */
    egressAllocationIds: z.array(values.resourceId('eipalloc')).min(1).max(6).optional(),
    /** `aws`: interface endpoints for what the gateway calls, so that those calls do not go by NAT. */
    endpoints: z.enum(['none', 'aws']).default('none'),
    flowLogs: z.boolean().default(true),
  })
  .refine(({ existing }) => existing === undefined || sameLength(existing), {
    path: ['existing', 'privateSubnetIds'],
    message: 'one subnet and one route table for each availability zone',
  })

function sameLength(vpc: z.infer<typeof existingVpc>): boolean {
  const zones = vpc.availabilityZones.length
  return vpc.privateSubnetIds.length === zones && vpc.privateSubnetRouteTableIds.length === zones
}

const identity = z
  .strictObject({
    /** `public`: on the internet, guarded by proofs alone. `private`: by VPC endpoints alone, but for discovery. */
    exposure: z.enum(['public', 'private']).default('public'),
    /** `private`: the execute-api endpoints that may call it. Default: the one that the network stack makes. */
    vpcEndpoints: z.array(values.resourceId('vpce')).max(16).default([]),
    customDomain: z
      .strictObject({ domainName: values.dnsName, certificateArn: values.arn('acm') })
      .optional(),
    throttle: z
      .strictObject({
        rate: z.int().min(1).max(10_000).default(50),
        burst: z.int().min(1).max(5000).default(100),
      })
      .prefault({}),
    /** Null: none is reserved, since new accounts have ten in all. */
    reservedConcurrency: z.int().min(1).max(1000).nullable().default(null),
  })
  .refine(({ exposure, vpcEndpoints }) => exposure === 'private' || vpcEndpoints.length === 0, {
    path: ['vpcEndpoints'],
    message: 'are for exposure: private alone',
  })

const privateLink = z.strictObject({
  /** Who may make endpoints to the gateway, such as `arn:aws:iam::444455556666:root`. */
  principals: z.array(values.arn('iam')).min(1).max(100),
  acceptanceRequired: z.boolean().default(true),
  /** The consumers' networks: the balancer's security group judges what comes by PrivateLink too. */
  consumerCidrs: z.array(values.clientCidr).min(1).max(20),
})

const image = z.strictObject({
  /** `sha256:…` of `base`; without it the tag decides, and prod warns. */
  baseDigest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hexadecimal digits')
    .optional(),
  base: z.string().min(1).default('docker.io/library/node:24-bookworm-slim'),
  /** `base` where `base` is no Debian, or the build reaches none of its mirrors. */
  malloc: z.enum(['jemalloc', 'base']).default('jemalloc'),
  /** An image that was built already, in a registry that the execution role may read; then nothing is built. */
  uri: z.string().min(1).optional(),
})

const gateway = z.strictObject({
  dnsName: values.dnsName.default('gateway.sallyport.internal'),
  memoryMiB: z.union(MEMORY_MIB.map((size) => z.literal(size))).default(2048),
  tasks: z
    .strictObject({
      minimum: z.int().min(1).max(100).default(1),
      maximum: z.int().min(1).max(1000).default(4),
    })
    .prefault({})
    .refine(({ minimum, maximum }) => minimum <= maximum, {
      path: ['maximum'],
      message: 'is lower than minimum',
    }),
  scaleOut: z
    .strictObject({
      cpuPercent: z.int().min(10).max(90).default(60),
      /** Live sessions of a task, or connections where those are more. */
      sessionsPerTask: z.int().min(10).max(100_000).default(4000),
    })
    .prefault({}),
  /** Networks that may connect. Default: the VPC's. */
  clients: z.array(values.clientCidr).max(40).default([]),
  /** From where operators reach the admin port of tasks; nobody else does, the balancer neither. */
  operators: z.array(values.clientCidr).max(40).default([]),
  /** Which listeners run in one service. Default: one service of all; five is what a service takes. */
  services: z.array(z.array(values.listenerName).min(1)).min(1).max(8).optional(),
  /** `blueGreen`: all new tasks, then a switch, which takes 20 minutes more behind a TCP balancer, and a way back at once. */
  deployment: z
    .strictObject({
      strategy: z.enum(['rolling', 'blueGreen']).default('rolling'),
      /** With `blueGreen`: how long the old tasks are kept after the switch. */
      bakeMinutes: z.int().min(0).max(1440).default(10),
    })
    .prefault({}),
  /** `nofile` of a task. A session takes two. */
  openFiles: z.int().min(4096).max(1_048_576).default(65_536),
  /** From SIGTERM to SIGKILL; Fargate gives 120 at most and takes more in silence. */
  stopTimeoutSeconds: values.seconds(10, 120).default(120),
  /** How long sessions may go on by themselves when their task is replaced. */
  deregistrationDelaySeconds: values.seconds(0, 3600).default(300),
  /** Of the balancer, in each direction. */
  idleTimeoutSeconds: values.seconds(60, 6000).default(3900),
  crossZone: z.boolean().default(true),
  /** Of secrets that gateway.yaml names and that are encrypted by keys of your own: it does not say which. */
  secretKeyArns: z.array(values.arn('kms')).max(20).default([]),
  privateLink: privateLink.optional(),
  image: image.prefault({}),
})

const configuration = z.strictObject({
  /** Holds gateway.yaml, policy.cedar and identity.yaml; relative to the repository. */
  directory: z.string().min(1).default('infra/configuration/files'),
  rollout: z
    .strictObject({
      minutes: z.int().min(0).max(1440).default(10),
      growthPercent: z.int().min(1).max(100).default(25),
      bakeMinutes: z.int().min(0).max(1440).default(10),
    })
    .prefault({}),
  /** A roll-out is undone where more than this share of the attempts of a minute is refused. */
  refusedPercent: z.int().min(1).max(100).default(50),
})

const observability = z.strictObject({
  /** Whom alarms wake. Without one they still show on the dashboard, and prod warns. */
  alarmTopicArn: values.arn('sns').optional(),
  /** Audit records and their checkpoints in S3 under object lock; null = none. Nobody can delete one before its time. */
  archiveDays: z.int().min(1).max(3650).nullable().default(null),
})

/** What an earlier deployment left (its outputs name it): the new one goes on with its CA in place of making another. */
const adopt = z.strictObject({
  /** It encrypts all of the others. */
  dataKeyArn: values.arn('kms'),
  issuingSecretArn: values.arn('secretsmanager'),
  /** A and B, in this order. */
  rootKeyArns: z.array(values.arn('kms')).length(2),
  replayTable: values.tableName,
  issuancesTable: values.tableName,
})

export const SETTINGS_SCHEMA = z.strictObject({
  name: values.deploymentName,
  account: values.account,
  region: values.region,
  /** `dev` or `prod`: what is warned of, and whether stateful stacks may be deleted. */
  stage: z.enum(['dev', 'prod']),
  /** Keys, secrets, tables, addresses and archive stay when their stack is deleted. Default: in prod. */
  retain: z.boolean().optional(),
  logRetentionDays: z.union(RETENTION_DAYS.map((days) => z.literal(days))).default(90),
  network: network.prefault({}),
  identity: identity.prefault({}),
  gateway: gateway.prefault({}),
  configuration: configuration.prefault({}),
  observability: observability.prefault({}),
  /** Default: nothing; then a deployment makes a CA of its own. */
  adopt: adopt.optional(),
  tags: z.record(z.string(), z.string()).default({}),
})

/** As it is written: what has a default may be left out. */
export type SettingsInput = z.input<typeof SETTINGS_SCHEMA>

export interface Settings extends Omit<z.output<typeof SETTINGS_SCHEMA>, 'retain'> {
  readonly retain: boolean
}

/** @throws ConfigurationError that names each wrong value as `<name>: <key>: …` */
export function readSettings(name: string, input: unknown): Settings {
  const result = SETTINGS_SCHEMA.safeParse(input, { error: expectation })
  if (!result.success) {
    const context = { file: `settings of ${name}`, data: input, schema: SETTINGS_SCHEMA, lineOf: () => null }
    throw new ConfigurationError(faultsOf(result.error.issues, context))
  }
  const { data } = result
  return { ...data, retain: data.retain ?? data.stage === 'prod' }
}

/** What is allowed and yet hardly meant in production. Said on standard error: a warning of CDK's would fail the synth. */
export function adviseOf({ stage, gateway, identity, network, observability }: Settings): readonly string[] {
  if (stage !== 'prod') return []
  const advice: [boolean, string][] = [
    [observability.alarmTopicArn === undefined, 'observability.alarmTopicArn: alarms wake nobody'],
    [
      gateway.image.uri === undefined && gateway.image.baseDigest === undefined,
      'gateway.image.baseDigest: the base image is whatever its tag means on the day',
    ],
    [observability.archiveDays === null, 'observability.archiveDays: checkpoints have no second place'],
    [gateway.tasks.minimum < 2, 'gateway.tasks.minimum: one task is no task while it is replaced'],
    [
      network.existing === undefined && network.natGateways === 'one',
      'network.natGateways: one zone takes the way out of all',
    ],
    [
      identity.exposure === 'public',
      'identity.exposure: the authority is on the internet, guarded by proofs alone',
    ],
  ]
  return advice.filter(([applies]) => applies).map(([, text]) => text)
}
