// Deployments other than dev and prod, each with all that `npm run synth` asks: CloudFormation's own validation and the rule
// packs, with no finding that is not acknowledged.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as cdk from 'aws-cdk-lib'
import { afterAll, expect, test } from 'vitest'
import { acknowledgeFindings, addRulePacks } from '../../../infra/acknowledged.ts'
import { addDeployment } from '../../../infra/app.ts'
import { REPOSITORY } from '../../../infra/assets.ts'
import type { SettingsInput } from '../../../infra/settings.ts'
import { contextOf, emptyAssets, readApp, settingsOf, type Synthesized } from './support.ts'

const folders: string[] = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

function temporary(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-variant-'))
  folders.push(folder)
  return folder
}

/** The files of the repository for another partition, with more listeners. */
function writeFiles(partition: string, region: string, listeners: string): string {
  const folder = temporary()
  const from = path.join(REPOSITORY, 'infra/configuration/files')
  const read = (name: string) => readFileSync(path.join(from, name), 'utf8')
  const identity = read('identity.yaml')
    .replaceAll('arn:aws:', `arn:${partition}:`)
    .replaceAll('eu-west-1', region)
  writeFileSync(path.join(folder, 'identity.yaml'), identity)
  writeFileSync(path.join(folder, 'policy.cedar'), read('policy.cedar'))
  const gateway = read('gateway.yaml').replace(/^destinations:/m, `${listeners}destinations:`)
  writeFileSync(path.join(folder, 'gateway.yaml'), gateway)
  return folder
}

const MESH = `  - name: mesh
    address: "0.0.0.0:15008"
    protocol: hbone
    proxyProtocol: { required: true, from: [10.64.0.0/16] }
`

/** @throws where `cdk synth --strict` would fail, with each finding */
function judge(name: string, changes: Partial<SettingsInput>): Synthesized {
  const app = new cdk.App({ context: contextOf(), outdir: temporary() })
  addRulePacks(app)
  const settings = settingsOf(name, changes)
  const deployment = addDeployment(app, settings, emptyAssets)
  acknowledgeFindings(deployment, settings)
  return readApp(app, deployment, settings.name)
}

/** Rule packs look at every resource, which takes seconds. */
const PATIENCE = { timeout: 120_000 }

const text = ({ templates }: Synthesized) =>
  JSON.stringify([...templates.values()].map((template) => template.toJSON() as unknown))

test('China: a private authority, in ARNs and host names of that partition alone', PATIENCE, () => {
  const region = 'cn-north-1'
  const china = judge('prod', {
    region,
    network: { natGateways: 'perZone', endpoints: 'aws' },
    identity: { exposure: 'private' },
    configuration: { directory: writeFiles('aws-cn', region, '') },
  })
  expect(text(china)).not.toMatch(/arn:aws:|eu-west-1/)
  expect(text(china)).toContain('logs.cn-north-1.amazonaws.com.cn')
})

test(
  'GovCloud: blue and green, with two target groups a listener and a role that switches these alone',
  PATIENCE,
  () => {
    const region = 'us-gov-west-1'
    const gov = judge('dev', {
      region,
      gateway: { deployment: { strategy: 'blueGreen', bakeMinutes: 15 } },
      configuration: { directory: writeFiles('aws-us-gov', region, MESH) },
    })
    expect(text(gov)).not.toMatch(/arn:aws:|eu-west-1/)
    expect(gov.all('AWS::ElasticLoadBalancingV2::TargetGroup')).toHaveLength(4)
    const [service] = gov.all('AWS::ECS::Service')
    expect(service?.Properties.DeploymentConfiguration).toMatchObject({
      Strategy: 'BLUE_GREEN',
      BakeTimeInMinutes: 15,
    })
    const balancers = service?.Properties.LoadBalancers as {
      AdvancedConfiguration: Record<string, unknown>
    }[]
    expect(balancers).toHaveLength(2)
    for (const { AdvancedConfiguration } of balancers) {
      expect(AdvancedConfiguration).toEqual({
        AlternateTargetGroupArn: { Ref: expect.stringContaining('Alternate') },
        ProductionListenerRule: { Ref: expect.stringContaining('Listener') },
        RoleArn: { 'Fn::GetAtt': [expect.stringContaining('SwitchRole'), 'Arn'] },
      })
    }
    const alarm = gov
      .all('AWS::CloudWatch::Alarm')
      .find(({ Properties }) => JSON.stringify(Properties).includes('blue'))
    expect(JSON.stringify(alarm)).toContain('FILL(blue, 0) + FILL(green, 0)')
  },
)

test('two services, another account’s PrivateLink, and a CA that is adopted', PATIENCE, () => {
  const key = (id: string) => `arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-${id}`
  const both = judge('prod', {
    gateway: {
      services: [['mesh'], ['proxy']],
      tasks: { minimum: 2, maximum: 4 },
      privateLink: { principals: ['arn:aws:iam::444455556666:root'], consumerCidrs: ['10.40.0.0/16'] },
    },
    configuration: { directory: writeFiles('aws', 'eu-west-1', MESH) },
    adopt: {
      dataKeyArn: key('1234567890ab'),
      issuingSecretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:issuing-AbCdEf',
      rootKeyArns: [key('1234567890ac'), key('1234567890ad')],
      replayTable: 'replay',
      issuancesTable: 'issuances',
    },
  })
  const made = ['AWS::KMS::Key', 'AWS::SecretsManager::Secret', 'AWS::DynamoDB::Table']
  expect(made.flatMap((type) => both.all(type))).toEqual([])
  const [schedule] = both.all('AWS::SecretsManager::RotationSchedule')
  expect(schedule?.Properties.SecretId).toMatch(/issuing-AbCdEf$/)
  const groups = both
    .all('AWS::ECS::Service')
    .map(({ Properties }) => (Properties.LoadBalancers as unknown[]).length)
  expect(groups).toEqual([1, 1])
})
