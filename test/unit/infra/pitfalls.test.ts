// What CloudFormation takes and what then fails in an account, or does harm there long after: each read from the templates.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { REPOSITORY } from '../../../infra/assets.ts'
import type { SettingsInput } from '../../../infra/settings.ts'
import { type Resources, type Synthesized, synthesize } from './support.ts'

const prod = synthesize('prod')
const dev = synthesize('dev')
const apart = synthesize('prod', { identity: { exposure: 'private' } })

/** Of the first resource of a type. */
function idOfType(resources: Resources, type: string): string {
  return Object.keys(resources).find((id) => resources[id]?.Type === type) ?? ''
}

function idOf(resources: Resources, prefix: string): string {
  return Object.keys(resources).find((id) => id.startsWith(prefix)) ?? ''
}

/** All that is there before a resource, by its dependencies and theirs. */
function before(resources: Resources, id: string, seen = new Set<string>()): ReadonlySet<string> {
  const { DependsOn = [], Properties } = resources[id] ?? {}
  const references = [...JSON.stringify(Properties ?? {}).matchAll(/"(?:Ref|Fn::GetAtt)":\[?"(\w+)"/g)]
  for (const other of [...[DependsOn].flat(), ...references.map(([, name]) => name ?? '')]) {
    if (seen.has(other) || resources[other] === undefined) continue
    seen.add(other)
    before(resources, other, seen)
  }
  return seen
}

function variablesOf({ all }: Synthesized, pattern: RegExp): Record<string, unknown> {
  const found = all('AWS::Lambda::Function').find(({ Properties }) =>
    pattern.test(String(Properties.Description)),
  )
  const environment = found?.Properties.Environment as { Variables: Record<string, unknown> } | undefined
  return environment?.Variables ?? {}
}

test('an endpoint to API Gateway takes no names of public APIs away from the VPC', () => {
  const endpoints = apart
    .all('AWS::EC2::VPCEndpoint')
    .filter(({ Properties }) => String(Properties.ServiceName).endsWith('execute-api'))
  expect(endpoints.map(({ Properties }) => Properties.PrivateDnsEnabled)).toEqual([false])
})

test('a private API has the role of the account by which it logs, before its stage and after it', () => {
  const resources = apart.resources('identity')
  const stage = idOfType(resources, 'AWS::ApiGateway::Stage')
  const setting = idOfType(resources, 'AWS::ApiGateway::Account')
  expect(before(resources, stage)).toContain(setting)
  const earlier = [...before(resources, setting)].filter((id) => id.includes('PrivateLog'))
  const what = [setting, ...earlier].map((id) => resources[id])
  expect(new Set(what.map((resource) => resource?.Type))).toEqual(
    new Set(['AWS::ApiGateway::Account', 'AWS::IAM::Policy', 'AWS::IAM::Role']),
  )
  expect(what.map((resource) => resource?.DeletionPolicy)).toEqual(['Retain', 'Retain', 'Retain'])
  expect(prod.all('AWS::ApiGateway::Account')).toEqual([])
})

test('a private authority is asked by its endpoint and for its issuer, which is another name', () => {
  const [task] = apart.all('AWS::ECS::TaskDefinition')
  const [container] = (task?.Properties.ContainerDefinitions ?? []) as {
    Environment: { Name: string; Value: unknown }[]
  }[]
  const value = (name: string) =>
    JSON.stringify(container?.Environment.find(({ Name }) => Name === name)?.Value)
  expect(value('SALLYPORT_AUTHORITY_URL')).toMatch(/PrivateApi/)
  expect(value('SALLYPORT_AUTHORITY_AUDIENCE')).toMatch(/PublicApi\w+ApiEndpoint/)
})

test('the private zone is of the gateway’s name alone, and hides none that is beside it', () => {
  const [zone] = prod.all('AWS::Route53::HostedZone')
  const [record] = prod.all('AWS::Route53::RecordSet')
  expect([zone?.Properties.Name, record?.Properties.Name]).toEqual([
    'gateway.sallyport.internal.',
    'gateway.sallyport.internal.',
  ])
})

test('what stays can be read: the key of the audit log stays too, in dev as in prod', () => {
  for (const { all } of [dev, prod]) {
    const key = all('AWS::KMS::Key').find(({ Properties }) => Properties.KeyUsage === undefined)
    expect(key?.DeletionPolicy).toBe('Retain')
  }
})

test('an update of a service leaves the tasks that scaling has added', () => {
  expect(prod.all('AWS::ECS::Service').map(({ Properties }) => Properties.DesiredCount)).toEqual([undefined])
  const [target] = prod.all('AWS::ApplicationAutoScaling::ScalableTarget')
  expect(target?.Properties).toMatchObject({ MinCapacity: 3, MaxCapacity: 12 })
})

test('a zone without a task is not taken for a gateway without one', () => {
  const resources = prod.resources('gateway')
  const alarm = resources[idOf(resources, 'GatewayNoHealthy')]
  expect(alarm?.Properties).toMatchObject({ MetricName: 'HealthyHostCount', Statistic: 'Maximum' })
})

test('a task is started when it may pull its image, read its configuration and be reached', () => {
  const resources = prod.resources('gateway')
  const service = idOfType(resources, 'AWS::ECS::Service')
  const earlier = [...before(resources, service)].join(' ')
  for (const id of ['ExecutionRoleDefaultPolicy', 'TaskRoleDefaultPolicy', 'BalancerListener']) {
    expect(earlier).toContain(id)
  }
})

test('a configuration is deployed when AppConfig may call its validator and look at its alarm', () => {
  const resources = prod.resources('configuration')
  const earlier = [...before(resources, idOf(resources, 'ConfigurationGatewayDeployment'))].join(' ')
  for (const id of ['AppConfigPermission', 'ValidatorRoleDefaultPolicy', 'MonitorRoleDefaultPolicy']) {
    expect(earlier).toContain(id)
  }
})

test('nobody of another account has AppConfig take our role', () => {
  const role =
    prod.resources('configuration')[idOf(prod.resources('configuration'), 'ConfigurationMonitorRole')]
  expect(JSON.stringify(role?.Properties.AssumeRolePolicyDocument)).toContain(
    '"aws:SourceAccount":"111122223333"',
  )
})

test('two deployments in one account count into metrics of their own', () => {
  for (const [synthesized, name] of [
    [dev, 'Sallyport/sallyport-dev'],
    [prod, 'Sallyport/sallyport-prod'],
  ] as const) {
    for (const pattern of [/^Rotates the CA/, /^The authority of/]) {
      expect(variablesOf(synthesized, pattern).SALLYPORT_METRICS_NAMESPACE).toBe(name)
    }
    const rotations = synthesized
      .all('AWS::CloudWatch::Alarm')
      .filter(({ Properties }) => Properties.MetricName === 'RotationFinished')
    expect(rotations.map(({ Properties }) => Properties.Namespace)).toEqual([name])
  }
})

test.each([
  ['444455556666.dkr.ecr.eu-west-1.amazonaws.com/team/sallyport:1.2', 'sallyport:1.2'],
  [`444455556666.dkr.ecr.eu-west-1.amazonaws.com/team/sallyport@sha256:${'a'.repeat(64)}`, '@sha256:'],
])('the execution role may pull %s', (uri, end) => {
  const synthesized = synthesize('dev', { gateway: { image: { uri } } })
  const policies = JSON.stringify(synthesized.all('AWS::IAM::Policy'))
  expect(policies).toMatch(
    /ecr:BatchGetImage.*arn:aws:ecr:eu-west-1:444455556666:repository\/team\/sallyport"/,
  )
  expect(JSON.stringify(synthesized.all('AWS::ECS::TaskDefinition'))).toContain(end)
  expect(synthesized.messages.filter((message) => !message.startsWith('info'))).toEqual([])
})

test.each([
  ['of jemalloc, from Debian', {}, 'debian'],
  ['of its base, where that is asked for', { malloc: 'base' as const }, ''],
])('the image has the malloc %s', (_name, image, expected) => {
  const { directory } = synthesize('dev', { gateway: { image } })
  const file = readdirSync(directory).find((name) => name.endsWith('-gateway.assets.json')) ?? ''
  const { dockerImages } = JSON.parse(readFileSync(path.join(directory, file), 'utf8')) as {
    dockerImages: Record<string, { source: { dockerBuildArgs: Record<string, string> } }>
  }
  const built = Object.values(dockerImages).map(({ source }) => source.dockerBuildArgs)
  expect(built).toEqual([{ BASE: expect.any(String), JEMALLOC: expected }])
})

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pitfalls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The repository's configuration with something changed. */
function withFiles(changes: Readonly<Record<string, (text: string) => string>>): Partial<SettingsInput> {
  for (const name of ['gateway.yaml', 'policy.cedar', 'identity.yaml']) {
    const text = readFileSync(path.join(REPOSITORY, 'infra/configuration/files', name), 'utf8')
    writeFileSync(path.join(folder, name), changes[name]?.(text) ?? text)
  }
  return { configuration: { directory: folder } }
}

test('a policy that would make the template larger than CloudFormation takes is refused at synth', () => {
  // Each line end takes three characters there, and each quote six.
  const comment = `// ${'"'.repeat(77)}\n`
  const changes = withFiles({ 'policy.cedar': (text) => text + comment.repeat(4000) })
  expect(() => synthesize('dev', changes)).toThrow(/over 900000 bytes of a template/)
})

const ADMIN = /^admin: .*\n/m

test('the admin port is reached from the networks of operators, from no others, and by nobody by default', () => {
  const into = (synthesized: Synthesized) =>
    synthesized.all('AWS::EC2::SecurityGroup').flatMap(({ Properties }) => {
      const rules = (Properties.SecurityGroupIngress ?? []) as { CidrIp: string; FromPort: number }[]
      return rules.filter(({ FromPort }) => FromPort === 9901).map(({ CidrIp }) => CidrIp)
    })
  expect(into(prod)).toEqual([])
  const opened = synthesize('prod', { gateway: { operators: ['10.9.0.0/24'] } })
  expect(into(opened)).toEqual(['10.9.0.0/24'])
  const [task] = opened.all('AWS::ECS::TaskDefinition')
  expect(JSON.stringify(task?.Properties)).not.toContain('9901')
  expect(() => synthesize('prod', { gateway: { operators: ['0.0.0.0/0'] } })).toThrow(
    /not the whole internet/,
  )
})

test('operators of an admin port on loopback are a fault at synth', () => {
  const changes = withFiles({ 'gateway.yaml': (text) => text.replace(ADMIN, '') })
  expect(() => synthesize('dev', { ...changes, gateway: { operators: ['10.9.0.0/24'] } })).toThrow(
    /expected admin: .* since operators are set, got loopback/,
  )
})
