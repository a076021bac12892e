// The properties of a deployment that no linter knows, each read from the synthesized templates of prod.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Match } from 'aws-cdk-lib/assertions'
import { expect, test } from 'vitest'
import { REPOSITORY } from '../../../infra/assets.ts'
import { statementsOf } from './iam.ts'
import { type Resource, settingsOf, synthesize } from './support.ts'

const TOPIC = 'arn:aws:sns:eu-west-1:111122223333:on-call'
const prod = synthesize('prod', { observability: { archiveDays: 400, alarmTopicArn: TOPIC } })
const dev = synthesize('dev')
const template = (part: string) => {
  const found = prod.templates.get(part)
  if (found === undefined) throw new Error(`no stack ${part}`)
  return found
}
const properties = (type: string) => prod.all(type).map(({ Properties }) => Properties)
const one = (type: string): Record<string, unknown> => {
  const [first, second] = properties(type)
  if (first === undefined || second !== undefined) throw new Error(`expected one ${type}`)
  return first
}

test('nothing that the stacks say is a warning or an error', () => {
  expect([...prod.messages, ...dev.messages].filter((message) => !message.startsWith('info'))).toEqual([])
})

test('stateful stacks of prod cannot be deleted by mistake, those of dev can', () => {
  const { network, identity, gateway } = prod.deployment
  expect([network, identity, gateway].map((stack) => stack.terminationProtection)).toEqual([
    true,
    true,
    false,
  ])
  expect(dev.deployment.identity.terminationProtection).toBe(false)
})

test('the issuing secret is created with the one value that rotation replaces by a CA', () => {
  const secrets = properties('AWS::SecretsManager::Secret')
  expect(
    secrets.map(({ SecretString, GenerateSecretString }) => [SecretString, GenerateSecretString]),
  ).toEqual([['{"state":"unborn"}', undefined]])
  template('identity').hasResourceProperties('AWS::SecretsManager::RotationSchedule', {
    RotationRules: { ScheduleExpression: 'rate(1 day)' },
    RotateImmediatelyOnUpdate: true,
  })
})

test('birth comes after the rotation and all that it may do, and before the API', () => {
  const resources = prod.resources('identity')
  const [id, trigger] = Object.entries(resources).find(([, { Type }]) => Type === 'Custom::Trigger') ?? [
    '',
    null,
  ]
  const dependsOn = (trigger?.DependsOn ?? []) as readonly string[]
  const types = dependsOn.map((name) => resources[name]?.Type)
  expect(types).toContain('AWS::SecretsManager::RotationSchedule')
  const schedule = Object.values(resources).find(
    ({ Type }) => Type === 'AWS::SecretsManager::RotationSchedule',
  )
  const needed = ((schedule?.DependsOn ?? []) as readonly string[]).map((name) => resources[name]?.Type)
  expect(needed).toEqual(expect.arrayContaining(['AWS::IAM::Policy', 'AWS::Lambda::Permission']))
  const stage = Object.values(resources).find(({ Type }) => Type === 'AWS::ApiGatewayV2::Stage')
  expect(stage?.DependsOn).toContain(id)
})

test('root keys are P-384, two, and sign for the rotation alone', () => {
  const keys = properties('AWS::KMS::Key').filter(({ KeyUsage }) => KeyUsage === 'SIGN_VERIFY')
  expect(keys.map(({ KeySpec }) => KeySpec)).toEqual(['ECC_NIST_P384', 'ECC_NIST_P384'])
  const denied = statementsOf(prod.resources('identity')).filter(({ effect }) => effect === 'Deny')
  expect(denied).toHaveLength(2)
  for (const { actions, condition } of denied) {
    expect(actions).toEqual(['kms:Sign'])
    expect(JSON.stringify(condition)).toMatch(/ArnNotEquals.*aws:PrincipalArn.*Rotation/)
  }
})

test('who may do what with the CA: rotation writes it and signs, the others read it', () => {
  const statements = statementsOf(prod.resources('identity')).filter(({ kind }) => kind === 'identity')
  const of = (action: string) =>
    statements
      .filter(({ actions }) => actions.includes(action))
      .map(({ where }) => /Issuing(\w+?)Role|Identity(Function)Role/.exec(where)?.slice(1).join('') ?? where)
  expect(of('kms:Sign')).toEqual(['Rotation'])
  expect(of('secretsmanager:PutSecretValue')).toEqual(['Rotation'])
  expect(of('secretsmanager:GetSecretValue').toSorted()).toEqual(['Birth', 'Function', 'Rotation'])
  expect(of('dynamodb:PutItem')).toEqual(['Function', 'Function'])
  expect(of('dynamodb:Scan')).toEqual([])
})

/** What may be `*`, and why. Anything else fails. */
const WILDCARDS: readonly [RegExp, readonly string[]][] = [
  // A key policy's own "*" is the key.
  [/^AWS::KMS::Key /, []],
  // Restricted by the accounts of caller and resource (network/endpoints.ts).
  [/^AWS::EC2::VPCEndpoint /, []],
  // Asked of no resource.
  [/^AWS::IAM::Policy .*MonitorRole/, ['cloudwatch:DescribeAlarms']],
  [/^AWS::IAM::Policy .*ExecutionRole/, ['ecr:GetAuthorizationToken']],
]

test('no statement allows everything, and no resource is a wildcard without a reason', () => {
  const parts = ['network', 'identity', 'configuration', 'gateway', 'observability']
  const statements = parts.flatMap((part) => statementsOf(prod.resources(part)))
  expect(statements.length).toBeGreaterThan(30)
  const bad = statements.filter(({ where, kind, actions, resources, effect }) => {
    if (effect === 'Deny' || kind === 'trust') return false
    const known = WILDCARDS.find(([place]) => place.test(where))
    const wide = actions.some((action) => /^(?:\*|[a-z0-9-]+:\*)$/.test(action)) || resources.includes('*')
    if (!wide) return false
    return known === undefined || (known[1].length > 0 && actions.join() !== known[1].join())
  })
  expect(bad).toEqual([])
  const open = statements.filter(({ where }) => where.startsWith('AWS::EC2::VPCEndpoint'))
  const unguarded = open.filter(
    ({ condition, actions }) => condition === undefined && actions.join() !== 's3:GetObject',
  )
  expect(unguarded).toEqual([])
})

test('nobody of another account can have ECS, Firehose or CloudWatch Logs use our roles', () => {
  const statements = ['gateway', 'observability'].flatMap((part) => statementsOf(prod.resources(part)))
  const trust = statements.filter(
    ({ kind, principal }) => kind === 'trust' && /ecs-tasks|firehose|"logs\./.test(JSON.stringify(principal)),
  )
  expect(trust).toHaveLength(4)
  for (const { condition } of trust) expect(JSON.stringify(condition)).toContain('111122223333')
})

test('the gateway may read its configuration and its list of revocations, put checkpoints, and nothing else', () => {
  const statements = statementsOf(prod.resources('gateway')).filter(
    ({ where, kind }) => where.includes('TaskRole') && kind === 'identity',
  )
  const told = statements.map(({ actions, resources }) => [actions.join(), idOf(resources)])
  expect(told).toEqual([
    ['s3:PutObject', expect.stringMatching(/GatewayEvidenceBucket\w+","Arn"\]},"\/checkpoints\/\*"/)],
    ['kms:GenerateDataKey', expect.stringContaining('DataKey')],
    [
      'appconfig:GetLatestConfiguration,appconfig:StartConfigurationSession',
      expect.stringMatching(/GatewayProfile.*RevocationsProfile/),
    ],
  ])
  expect(statements[1]?.condition).toEqual({
    StringEquals: { 'kms:ViaService': { 'Fn::Join': ['', ['s3.eu-west-1.', { Ref: 'AWS::URLSuffix' }]] } },
  })
})

test('roles that something outlives them names have settled names: its own by identity.yaml, rotation’s by the root keys', () => {
  expect(
    prod
      .all('AWS::IAM::Role')
      .map(({ Properties }) => Properties.RoleName)
      .filter(Boolean),
  ).toEqual(['sallyport-prod-rotation', 'sallyport-gateway'])
})

interface Rule {
  readonly IpProtocol: string
  readonly FromPort: number
  readonly ToPort: number
  readonly CidrIp?: string
}

test('no security group lets the internet in, and tasks get out by 443 and destinations’ ports alone', () => {
  const groups = prod.all('AWS::EC2::SecurityGroup')
  const inward = [
    ...groups.flatMap(({ Properties }) => (Properties.SecurityGroupIngress ?? []) as Rule[]),
    ...(properties('AWS::EC2::SecurityGroupIngress') as unknown as Rule[]),
  ]
  expect(inward.length).toBeGreaterThan(2)
  expect(inward.filter(({ CidrIp, IpProtocol }) => CidrIp === '0.0.0.0/0' || IpProtocol !== 'tcp')).toEqual(
    [],
  )
  const outward = groups.flatMap(({ Properties }) => (Properties.SecurityGroupEgress ?? []) as Rule[])
  const allowed = outward.filter(({ CidrIp }) => CidrIp === '0.0.0.0/0')
  expect(allowed.map(({ FromPort, ToPort, IpProtocol }) => [IpProtocol, FromPort, ToPort])).toEqual([
    ['tcp', 443, 443],
  ])
})

const byPort = (a: unknown[], b: unknown[]) => Number(a[0]) - Number(b[0])
const idOf = (value: unknown) => JSON.stringify(value)

test('each way from client to balancer to task is open, health checks too, and no other into a task', () => {
  const resources = prod.resources('gateway')
  const balancer = Object.entries(resources).find(([, { Properties }]) =>
    String(Properties?.GroupDescription).startsWith('Clients'),
  )
  const clients = ((balancer?.[1].Properties.SecurityGroupIngress ?? []) as Rule[]).map(
    ({ FromPort, CidrIp }) => [FromPort, CidrIp],
  )
  expect(clients).toEqual([[8443, '10.64.0.0/16']])
  const into = properties('AWS::EC2::SecurityGroupIngress').map(({ FromPort, SourceSecurityGroupId }) => [
    FromPort,
    idOf(SourceSecurityGroupId).includes('BalancerGroup'),
  ])
  expect(into.toSorted(byPort)).toEqual([
    [8443, true],
    [9902, true],
  ])
  const out = properties('AWS::EC2::SecurityGroupEgress').map(({ FromPort, DestinationSecurityGroupId }) => [
    FromPort,
    idOf(DestinationSecurityGroupId).includes('Tasks'),
  ])
  expect(out.toSorted(byPort)).toEqual([
    [8443, true],
    [9902, true],
  ])
})

test('the balancer is internal, and each listener is TCP to the end', () => {
  template('gateway').hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
    Scheme: 'internal',
    Type: 'network',
    SecurityGroups: Match.anyValue(),
  })
  for (const listener of properties('AWS::ElasticLoadBalancingV2::Listener')) {
    expect([listener.Protocol, listener.Certificates]).toEqual(['TCP', undefined])
    expect(listener.ListenerAttributes).toEqual([{ Key: 'tcp.idle_timeout.seconds', Value: '3900' }])
  }
})

test('target groups: PROXY v2 without preserved addresses, a delay, and no cut when a task turns unhealthy', () => {
  const groups = properties('AWS::ElasticLoadBalancingV2::TargetGroup')
  expect(groups).toHaveLength(1)
  for (const { TargetGroupAttributes, HealthCheckPath, HealthCheckPort, HealthCheckProtocol } of groups) {
    const attributes = Object.fromEntries(
      (TargetGroupAttributes as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value]),
    )
    expect(attributes).toMatchObject({
      'proxy_protocol_v2.enabled': 'true',
      'preserve_client_ip.enabled': 'false',
      'deregistration_delay.timeout_seconds': '300',
      'deregistration_delay.connection_termination.enabled': 'false',
      'target_health_state.unhealthy.connection_termination.enabled': 'false',
    })
    expect([HealthCheckProtocol, HealthCheckPath, HealthCheckPort]).toEqual(['HTTP', '/readyz', '9902'])
  }
})

test('a task: ARM64, read-only, nobody, no capabilities, its own state directory, and logs that never drop', () => {
  const task = one('AWS::ECS::TaskDefinition')
  expect(task.RuntimePlatform).toEqual({ CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' })
  const [container] = task.ContainerDefinitions as Record<string, unknown>[]
  expect(container).toMatchObject({
    ReadonlyRootFilesystem: true,
    Privileged: false,
    User: '65532:65532',
    StopTimeout: 120,
    Ulimits: [{ Name: 'nofile', SoftLimit: 65_536, HardLimit: 65_536 }],
    MountPoints: [{ ContainerPath: '/var/lib/sallyport', ReadOnly: false, SourceVolume: 'state' }],
    RestartPolicy: { Enabled: true, IgnoredExitCodes: [0] },
    LinuxParameters: { Capabilities: { Drop: ['ALL'] }, InitProcessEnabled: true },
    LogConfiguration: { LogDriver: 'awslogs', Options: { mode: 'blocking' } },
    Command: ['--config', 'appconfig:sallyport-prod/gateway/gateway'],
  })
  expect(Number(container?.StopTimeout)).toBeGreaterThan(
    prod.deployment.sources.gateway.drain.deadlineMs / 1000,
  )
  const environment = container?.Environment as { Name: string; Value: unknown }[]
  const bucket = Object.keys(prod.resources('gateway')).find((id) => id.startsWith('GatewayEvidenceBucket'))
  expect(Object.fromEntries(environment.map(({ Name, Value }) => [Name, Value]))).toEqual({
    AWS_REGION: 'eu-west-1',
    SALLYPORT_AUTHORITY_URL: expect.anything(),
    SALLYPORT_AUTHORITY_AUDIENCE: expect.anything(),
    SALLYPORT_CHECKPOINTS: { 'Fn::Join': ['', ['s3://', { Ref: bucket }, '/checkpoints']] },
    SALLYPORT_METRICS_NAMESPACE: 'Sallyport/sallyport-prod',
    SALLYPORT_PROXY_PROTOCOL_FROM: '10.64.0.0/16',
    SALLYPORT_REVOCATIONS: 'appconfig:sallyport-prod-revocations/gateway/revocations',
  })
})

test('a service: no shell, no rebalancing, no public address, and a failed deployment goes back', () => {
  const service = one('AWS::ECS::Service')
  expect(service).toMatchObject({
    EnableExecuteCommand: false,
    AvailabilityZoneRebalancing: 'DISABLED',
    HealthCheckGracePeriodSeconds: 300,
    NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'DISABLED' } },
    DeploymentConfiguration: {
      MinimumHealthyPercent: 100,
      MaximumPercent: 200,
      DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      Alarms: { Enable: true, Rollback: true },
    },
  })
  const { AlarmNames } = (service.DeploymentConfiguration as { Alarms: { AlarmNames: unknown[] } }).Alarms
  expect(AlarmNames).toHaveLength(2)
})

test('operators reach the admin port of tasks where settings say from where, and nobody else does', () => {
  const ports = ({ all }: typeof prod) =>
    [
      ...all('AWS::EC2::SecurityGroupIngress').map(({ Properties }) => Properties),
      ...all('AWS::EC2::SecurityGroup').flatMap(
        ({ Properties }) => (Properties['SecurityGroupIngress'] ?? []) as Record<string, unknown>[],
      ),
    ].map(({ FromPort }) => FromPort)
  expect(ports(prod)).not.toContain(9901)
  expect(ports(synthesize('dev', { gateway: { operators: ['10.9.0.0/24'] } }))).toContain(9901)
})

test('tasks are added and never taken away', () => {
  const policies = properties('AWS::ApplicationAutoScaling::ScalingPolicy')
  const text = JSON.stringify(policies)
  expect(policies).toHaveLength(2)
  expect(text).toContain('"DisableScaleIn":true')
  expect(text).not.toMatch(/"ScalingAdjustment":-/)
})

test('a configuration is judged, goes out in steps that an alarm undoes; revocations go at once and nothing undoes them', () => {
  const strategies = properties('AWS::AppConfig::DeploymentStrategy').map((one) => [
    one.DeploymentDurationInMinutes,
    one.GrowthFactor,
    // While it "bakes" no other deployment may begin, so that nobody else could be revoked.
    one.FinalBakeTimeInMinutes,
  ])
  expect(strategies).toEqual([
    [10, 25, 10],
    [0, 100, 0],
  ])
  const [, atOnce] = properties('AWS::AppConfig::DeploymentStrategy')
  // By that name `sallyport revoke` finds it.
  const applications = properties('AWS::AppConfig::Application').map(({ Name }) => Name)
  expect(atOnce?.Name).toBe(applications[1])
  const validated = properties('AWS::AppConfig::ConfigurationProfile').map(({ Name, Validators }) => [
    Name,
    (Validators as unknown[] | undefined)?.length ?? 0,
  ])
  expect(validated).toEqual([
    ['gateway', 1],
    ['revocations', 0],
  ])
  const monitored = properties('AWS::AppConfig::Environment').map(
    ({ Monitors }) => (Monitors as unknown[] | undefined)?.length ?? 0,
  )
  expect(monitored).toEqual([1, 0])
  const [gateway, revocations] = properties('Custom::AppConfigDeployment').map(({ Create, Update }) => [
    idOf(Create),
    idOf(Update),
  ])
  expect(gateway?.[0]).toContain('AppConfig.AllAtOnce')
  expect(gateway?.[1]).not.toContain('AppConfig.AllAtOnce')
  expect(revocations?.[0]).toMatch(/RevocationsStrategy/)
  expect(revocations?.[1]).toBeUndefined()
})

test('every alarm for people has an action and says where its page is', () => {
  const made = prod.all('AWS::CloudWatch::Alarm')
  expect(made.length).toBeGreaterThan(12)
  // Of scaling: nobody is woken by it.
  const scaling = made.filter(
    ({ Properties }) => Properties.AlarmDescription === 'Upper threshold scaling alarm',
  )
  expect(scaling).toHaveLength(1)
  for (const { Properties } of made.filter((alarm) => !scaling.includes(alarm))) {
    expect(Properties.AlarmActions).toEqual([TOPIC])
    expect(Properties.AlarmDescription).toMatch(/ docs\/runbooks\.md#[a-z]+$/)
  }
})

test('alarms on what tasks write name metrics that there are', () => {
  const known = readFileSync(path.join(REPOSITORY, 'docs/metrics.md'), 'utf8')
  const named = JSON.stringify(prod.all('AWS::CloudWatch::Alarm')).matchAll(/"(sallyport_\w+)"/g)
  const names = new Set([...named].map(([, name]) => name))
  expect(names.size).toBe(7)
  for (const name of names) expect(known).toContain(`| \`${name}\` |`)
})

test('the alarm that undoes a roll-out counts what the metric filters write', () => {
  const filters = prod
    .all('AWS::Logs::MetricFilter')
    .flatMap(
      ({ Properties }) =>
        Properties.MetricTransformations as { MetricName: string; MetricNamespace: string }[],
    )
  const written = filters.map(({ MetricName, MetricNamespace }) => `${MetricNamespace} ${MetricName}`)
  const alarm = Object.values(prod.resources('configuration')).find(
    ({ Type }) => Type === 'AWS::CloudWatch::Alarm',
  )
  const counted = (alarm?.Properties.Metrics ?? []) as {
    MetricStat?: { Metric: { MetricName: string; Namespace: string } }
  }[]
  const metrics = counted.flatMap(({ MetricStat }) =>
    MetricStat === undefined ? [] : [`${MetricStat.Metric.Namespace} ${MetricStat.Metric.MetricName}`],
  )
  expect(metrics.toSorted()).toEqual([
    'Sallyport/sallyport-prod Attempts',
    'Sallyport/sallyport-prod Refused',
  ])
  expect(written).toEqual(expect.arrayContaining(metrics))
})

test('every log is kept for a time that is known, and under our key but for that of CDK’s own function', () => {
  const groups = prod.all('AWS::Logs::LogGroup')
  expect(groups.length).toBeGreaterThan(7)
  // Its own function's log: CDK gives it the default.
  const unset = groups.filter(({ Properties }) => Properties?.RetentionInDays === undefined)
  const plain = groups.filter(({ Properties }) => Properties?.KmsKeyId === undefined)
  expect(plain.length).toBeLessThanOrEqual(1)
  expect(unset.length).toBe(0)
})

test('tables can be taken back to any second, and used proofs go by themselves', () => {
  const tables = properties('AWS::DynamoDB::Table')
  expect(tables.map(({ PointInTimeRecoverySpecification }) => PointInTimeRecoverySpecification)).toEqual([
    { PointInTimeRecoveryEnabled: true },
    { PointInTimeRecoveryEnabled: true },
  ])
  expect(tables.map(({ TimeToLiveSpecification }) => TimeToLiveSpecification)).toEqual([
    { AttributeName: 'expiresAt', Enabled: true },
    undefined,
  ])
  expect(tables.map(({ SSESpecification }) => (SSESpecification as { SSEType: string }).SSEType)).toEqual([
    'KMS',
    'KMS',
  ])
})

test('evidence cannot be emptied before its time', () => {
  template('gateway').hasResourceProperties('AWS::S3::Bucket', {
    ObjectLockEnabled: true,
    ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 400 } } },
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
  })
})

/** What stays when its stack is deleted: nothing of it can be made again, or it is evidence. */
const STAYS = new Set([
  'AWS::DynamoDB::Table',
  'AWS::EC2::EIP',
  'AWS::KMS::Key',
  'AWS::Logs::LogGroup',
  'AWS::S3::Bucket',
  'AWS::SecretsManager::Secret',
])

/** CDK keeps old versions, to which a stack that fails goes back; deleting what they are versions of deletes them. */
const GOES_WITH_ITS_OWNER = new Set(['AWS::AppConfig::HostedConfigurationVersion'])

test('what stays after destroy is on a list, and in dev it is the audit log and its key alone', () => {
  const kept = (all: readonly Resource[]) =>
    [
      ...new Set(all.filter(({ DeletionPolicy }) => DeletionPolicy === 'Retain').map(({ Type }) => Type)),
    ].toSorted()
  const everything = (synthesized: typeof prod) =>
    [...synthesized.templates.keys()].flatMap((part) => Object.values(synthesized.resources(part)))
  expect(kept(everything(prod)).filter((type) => !STAYS.has(type) && !GOES_WITH_ITS_OWNER.has(type))).toEqual(
    [],
  )
  expect(kept(everything(prod))).toEqual(expect.arrayContaining([...STAYS]))
  expect(kept(everything(dev)).filter((type) => !GOES_WITH_ITS_OWNER.has(type))).toEqual([
    'AWS::KMS::Key',
    'AWS::Logs::LogGroup',
  ])
})

test('functions run on Node 24 and ARM64, with a log of their own', () => {
  for (const { Runtime, Architectures, LoggingConfig, Description } of properties('AWS::Lambda::Function')) {
    // CDK's own two.
    if (Description === undefined || !JSON.stringify(Description).includes('Sallyport')) continue
    expect([Runtime, Architectures]).toEqual(['nodejs24.x', ['arm64']])
    expect(LoggingConfig).toMatchObject({ LogFormat: 'JSON', LogGroup: expect.anything() })
  }
})

test('the public API has access logs and a limit, and holds no proof in them', () => {
  const [stage] = properties('AWS::ApiGatewayV2::Stage')
  expect(stage?.DefaultRouteSettings).toMatchObject({ ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 })
  const { Format } = (stage?.AccessLogSettings ?? {}) as { Format: string }
  expect(Format).toContain('$context.requestId')
  expect(Format).not.toMatch(/authorization|header|body/i)
})

test('dev is one NAT gateway, and settings decide the addresses', () => {
  expect(dev.all('AWS::EC2::NatGateway')).toHaveLength(1)
  expect(prod.all('AWS::EC2::NatGateway')).toHaveLength(3)
  expect(settingsOf('dev').network.egressAllocationIds).toBeUndefined()
  expect(Object.keys(template('network').findOutputs('EgressAddresses'))).toEqual(['EgressAddresses'])
})
