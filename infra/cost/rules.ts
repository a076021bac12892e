// What a resource of a template costs: by itself in a month, by use, or nothing. A type that is in none of the lists is an
// error, so that nothing new comes into a template without somebody asking what it costs.

export interface CostedResource {
  readonly Type: string
  readonly Properties?: Readonly<Record<string, unknown>>
}

export type ResourcesById = Readonly<Record<string, CostedResource>>

/** So many of a price each month. */
export interface Charge {
  readonly line: string
  readonly price: string
  /** In the price's own unit: hours, keys, metrics. */
  readonly units: number
  /** What people count: gateways, tasks, alarms. */
  readonly count: number
  /** The setting that changes it. */
  readonly knob: string
}

interface Context {
  readonly hours: number
  readonly resources: ResourcesById
}

type Rule = (resource: CostedResource, context: Context) => readonly Charge[]

/** Two profiles, each asked every 15 seconds (gateway/config/appconfig.ts). */
const POLLS_PER_HOUR = (2 * 3600) / 15

const numberOf = (value: unknown): number => Number(value ?? 0)

const FIXED: Readonly<Record<string, Rule>> = {
  'AWS::EC2::NatGateway': (_, { hours }) => [
    charge('NAT gateways', 'natHour', hours, '`network.natGateways`: `one` or `perZone`; `network.existing`'),
  ],
  'AWS::EC2::EIP': (_, { hours }) => [
    charge('Public addresses', 'publicIpv4Hour', hours, 'one for each NAT gateway'),
  ],
  'AWS::EC2::VPCEndpoint': ({ Properties }, { hours }) => {
    // A gateway endpoint, to S3 or DynamoDB, is free.
    if (Properties?.['VpcEndpointType'] !== 'Interface') return []
    const zones = (Properties['SubnetIds'] as readonly unknown[]).length
    const knob = '`network.endpoints`: `none` or `aws`; `identity.exposure: private` needs one'
    return [
      { ...charge('Interface endpoints, by zone', 'endpointZoneHour', hours * zones, knob), count: zones },
    ]
  },
  'AWS::ElasticLoadBalancingV2::LoadBalancer': (_, { hours }) => [
    charge('Network load balancer', 'nlbHour', hours, 'none'),
  ],
  'AWS::ECS::Service': (service, context) => chargesOfService(service, context),
  'AWS::KMS::Key': () => [charge('KMS keys', 'kmsKeyMonth', 1, 'none; a rotated key costs one more')],
  'AWS::SecretsManager::Secret': () => [charge('Secrets', 'secretMonth', 1, 'none')],
  'AWS::CloudWatch::Alarm': ({ Properties }) => {
    const metrics = (Properties?.['Metrics'] as readonly { MetricStat?: unknown }[] | undefined) ?? [
      { MetricStat: {} },
    ]
    const count = metrics.filter(({ MetricStat }) => MetricStat !== undefined).length
    return [{ ...charge('Metrics of alarms', 'alarmMetricMonth', count, 'none'), count }]
  },
  'AWS::CloudWatch::Dashboard': () => [charge('Dashboards', 'dashboardMonth', 1, 'none; three are free')],
  'AWS::Logs::MetricFilter': () => [charge('Metrics of audit records', 'customMetricMonth', 1, 'none')],
  'AWS::Route53::HostedZone': () => [charge('Private hosted zone', 'hostedZoneMonth', 1, 'none')],
}

/** What is paid by use alone, and where it stands in the second table. */
export const BY_USE: readonly {
  readonly type: string
  readonly what: string
  readonly prices: readonly string[]
  readonly knob: string
}[] = [
  {
    ...{ type: 'AWS::EC2::NatGateway', what: 'Traffic through NAT gateways, both ways', prices: ['natGb'] },
    knob: 'what your sessions move; `network.endpoints: aws` takes AWS’s own part out of it',
  },
  {
    ...{ type: 'AWS::EC2::VPCEndpoint', what: 'Traffic through interface endpoints', prices: ['endpointGb'] },
    knob: 'logs, mostly',
  },
  {
    type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
    ...{
      what: 'The balancer’s work',
      prices: ['nlcuHour'],
      knob: 'the dearest of its three measures counts',
    },
  },
  {
    ...{
      type: 'AWS::Logs::LogGroup',
      what: 'Logs and audit records',
      prices: ['logsIngestGb', 'logsStoreGb'],
    },
    knob: 'two records an allowed attempt, one a refused one; `logRetentionDays`, `network.flowLogs`',
  },
  {
    type: 'AWS::ECS::Cluster',
    what: 'Metrics of the tasks (EMF), and of Container Insights, by the metrics that had a value',
    ...{
      prices: ['customMetricMonth'],
      knob: 'one for each name and set of labels ([metrics.md](metrics.md))',
    },
  },
  {
    ...{ type: 'AWS::Lambda::Function', what: 'The authority' },
    ...{
      prices: ['lambdaRequestsMillion', 'lambdaArmGbSecond'],
      knob: 'one request a workload and 30 minutes',
    },
  },
  {
    ...{ type: 'AWS::ApiGatewayV2::Api', what: 'The authority’s API', prices: ['httpApiMillion'] },
    knob: 'as above; trust bundles too, each five minutes, unless something caches them',
  },
  {
    ...{ type: 'AWS::ApiGateway::RestApi', what: 'The private API', prices: ['restApiMillion'] },
    knob: '`identity.exposure: private`',
  },
  {
    ...{
      type: 'AWS::DynamoDB::Table',
      what: 'Replay and issuance records',
      prices: ['dynamodbWriteMillion'],
    },
    knob: 'two writes an identity',
  },
  {
    type: 'AWS::AppConfig::Environment',
    ...{
      what: 'Configurations that a task receives',
      prices: ['appConfigReceived'],
      knob: 'changes times tasks',
    },
  },
  {
    ...{
      type: 'AWS::KMS::Key',
      what: 'Requests to KMS',
      prices: ['kmsRequests10k'],
      knob: 'one signature a day; logs and tables use data keys',
    },
  },
  {
    ...{
      type: 'AWS::S3::Bucket',
      what: 'The archive',
      prices: ['s3GbMonth'],
      knob: '`observability.archiveDays`',
    },
  },
  {
    type: 'AWS::KinesisFirehose::DeliveryStream',
    ...{ what: 'The way into the archive', prices: ['firehoseGb'], knob: '`observability.archiveDays`' },
  },
]

/** Nobody pays for these as such. */
const FREE: ReadonlySet<string> = new Set([
  ...['VPC', 'Subnet', 'RouteTable', 'SubnetRouteTableAssociation', 'Route', 'InternetGateway'].map(ec2),
  ...['VPCGatewayAttachment', 'FlowLog', 'SecurityGroup', 'SecurityGroupIngress', 'SecurityGroupEgress'].map(
    ec2,
  ),
  // Of PrivateLink the endpoint is paid, by who makes it.
  ...['VPCEndpointService', 'VPCEndpointServicePermissions'].map(ec2),
  'AWS::IAM::Role',
  'AWS::IAM::Policy',
  'AWS::SecretsManager::RotationSchedule',
  'AWS::SecretsManager::ResourcePolicy',
  'AWS::Lambda::Permission',
  'AWS::Lambda::Version',
  'AWS::Lambda::Alias',
  'AWS::Lambda::LayerVersion',
  // Runs once a deployment.
  'Custom::Trigger',
  'Custom::AppConfigDeployment',
  ...['Integration', 'Route', 'Stage', 'DomainName', 'ApiMapping'].map(
    (name) => `AWS::ApiGatewayV2::${name}`,
  ),
  ...['Deployment', 'Stage', 'Resource', 'Method', 'Account'].map((name) => `AWS::ApiGateway::${name}`),
  ...['Application', 'DeploymentStrategy', 'ConfigurationProfile', 'HostedConfigurationVersion'].map(
    (name) => `AWS::AppConfig::${name}`,
  ),
  'AWS::ElasticLoadBalancingV2::Listener',
  'AWS::ElasticLoadBalancingV2::ListenerRule',
  'AWS::ElasticLoadBalancingV2::TargetGroup',
  'AWS::ECS::TaskDefinition',
  'AWS::ApplicationAutoScaling::ScalableTarget',
  'AWS::ApplicationAutoScaling::ScalingPolicy',
  'AWS::Route53::RecordSet',
  'AWS::Logs::QueryDefinition',
  'AWS::Logs::LogStream',
  'AWS::Logs::SubscriptionFilter',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::TopicPolicy',
])

/** @throws Error where nobody has said what the type costs */
export function chargesOf(resource: CostedResource, context: Context): readonly Charge[] {
  const rule = FIXED[resource.Type]
  if (rule !== undefined) return rule(resource, context)
  if (FREE.has(resource.Type) || BY_USE.some(({ type }) => type === resource.Type)) return []
  throw new Error(`${resource.Type}: infra/cost/rules.ts does not say what it costs`)
}

/** A service says no count of its own: what scales it says from how many it starts. */
function leastTasksOf(service: CostedResource, resources: ResourcesById): number {
  const [id] = Object.entries(resources).find(([, resource]) => resource === service) ?? []
  const target = Object.values(resources).find(({ Type, Properties }) => {
    if (Type !== 'AWS::ApplicationAutoScaling::ScalableTarget') return false
    return JSON.stringify(Properties?.['ResourceId']).includes(`"${id}"`)
  })
  if (target === undefined) throw new Error('a service that nothing scales')
  return numberOf(target.Properties?.['MinCapacity'])
}

function chargesOfService(service: CostedResource, { hours, resources }: Context): readonly Charge[] {
  const reference = service.Properties?.['TaskDefinition'] as { readonly Ref: string } | undefined
  const task = resources[reference?.Ref ?? '']?.Properties
  if (task === undefined) throw new Error('a service without a task definition in its own stack')
  const tasks = leastTasksOf(service, resources)
  const knob = '`gateway.tasks`, `gateway.scaleOut`: one vCPU a task; tasks are never taken away'
  const vcpu = (tasks * numberOf(task['Cpu'])) / 1024
  const gb = (tasks * numberOf(task['Memory'])) / 1024
  return [
    { line: 'Tasks, vCPU', price: 'fargateArmVcpuHour', units: vcpu * hours, count: vcpu, knob },
    {
      line: 'Tasks, GB',
      price: 'fargateArmGbHour',
      units: gb * hours,
      count: gb,
      knob: '`gateway.memoryMiB`',
    },
    {
      ...{ line: 'Tasks, asking AppConfig', price: 'appConfigRequest', knob: 'none' },
      ...{ units: tasks * POLLS_PER_HOUR * hours, count: tasks },
    },
  ]
}

function charge(line: string, price: string, units: number, knob: string): Charge {
  return { line, price, units, count: 1, knob }
}

function ec2(name: string): string {
  return `AWS::EC2::${name}`
}
