// What an operator reads: a section for each alarm, a table of costs that the stacks make, lifetimes that are those of the
// code, and examples of workloads whose commands exist.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import * as cdk from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { createProgram } from '../../../cli/program.ts'
import { addDeployment } from '../../../infra/app.ts'
import { REPOSITORY } from '../../../infra/assets.ts'
import { chargesOf } from '../../../infra/cost/rules.ts'
import { costTables, type Prices } from '../../../infra/cost/table.ts'
import { ENVIRONMENTS } from '../../../infra/environments.ts'
import { ISSUING_LIFETIME_MS, ROOT_LIFETIME_MS } from '../../../lambdas/identity/authority/certificates.ts'
import { readIdentityConfig } from '../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../lambdas/identity/environment.ts'
import { statementsOf } from './iam.ts'
import { createApp, emptyAssets, readApp, settingsOf, synthesize } from './support.ts'

const read = (name: string) => readFileSync(path.join(REPOSITORY, name), 'utf8')
const PRICES = JSON.parse(read('infra/prices/2026-11-26-eu-west-1.json')) as Prices
const prod = synthesize('prod', { observability: { archiveDays: 400 } })

test('each alarm names its runbook, and each runbook is of an alarm', () => {
  const sections = [...read('docs/runbooks.md').matchAll(/^### (\w+)$/gm)].map(([, name]) => name ?? '')
  const alarms = prod
    .all('AWS::CloudWatch::Alarm')
    .map(({ Properties }) => String(Properties['AlarmDescription']))
    .filter((text) => text !== 'Upper threshold scaling alarm')
  const linked = alarms.map((text) => /docs\/runbooks\.md#([a-z]+)$/.exec(text)?.[1] ?? text)
  expect([...new Set(linked)].toSorted()).toEqual(sections.map((name) => name.toLowerCase()).toSorted())
})

test('the cost of the stacks is that of the page', () => {
  const environments = Object.keys(ENVIRONMENTS).map((name) => {
    const { templates, resources } = synthesize(name)
    return { name, stacks: [...templates.keys()].map((part) => resources(part)) }
  })
  expect(read('docs/deploy.md')).toContain(costTables(environments, PRICES))
})

test('what nobody has priced is an error, and so is a price that is not there', () => {
  const context = { hours: 730, resources: {} }
  expect(() => chargesOf({ Type: 'AWS::RDS::DBInstance' }, context)).toThrow(/AWS::RDS::DBInstance/)
  const stacks = [{ Key: { Type: 'AWS::KMS::Key' } }]
  expect(costTables([{ name: 'x', stacks }], PRICES)).toMatch(/KMS keys +\| 1 +\| 1\.00/)
  expect(() => costTables([{ name: 'x', stacks }], { ...PRICES, prices: {} })).toThrow(/no kmsKeyMonth/)
})

test('every type of a deployment with all settings on is priced or listed as free', () => {
  const full = synthesize('prod', {
    observability: { archiveDays: 400 },
    identity: { exposure: 'private' },
    gateway: {
      privateLink: { principals: ['arn:aws:iam::444455556666:root'], consumerCidrs: ['10.40.0.0/16'] },
    },
  })
  for (const part of full.templates.keys()) {
    const resources = full.resources(part)
    for (const resource of Object.values(resources)) chargesOf(resource, { hours: 730, resources })
  }
})

test('who may revoke may find, write and deploy the list of revocations, and nothing of the gateway’s configuration', () => {
  const app = createApp()
  const settings = settingsOf('dev')
  const deployment = addDeployment(app, settings, emptyAssets)
  const stack = new cdk.Stack(app, `${settings.name}-operators`, {
    env: { account: settings.account, region: settings.region },
  })
  const role = new iam.Role(stack, 'Operator', { assumedBy: new iam.AccountRootPrincipal() })
  deployment.configuration.configuration.grantRevoke(role)
  const statements = statementsOf(readApp(app, deployment, settings.name).resources('operators'))
  const actions = statements.flatMap((one) => (one.kind === 'identity' ? one.actions : [])).toSorted()
  expect(actions).toEqual(
    [
      ...[
        'CreateHostedConfigurationVersion',
        'GetDeployment',
        'GetHostedConfigurationVersion',
        'ListApplications',
      ],
      ...['ListConfigurationProfiles', 'ListDeploymentStrategies', 'ListDeployments', 'ListEnvironments'],
      ...['ListHostedConfigurationVersions', 'StartDeployment'],
    ].map((name) => `appconfig:${name}`),
  )
  const text = JSON.stringify(statements)
  expect(text).toContain('RevocationsApplication')
  expect(text).not.toMatch(/GatewayApplication|GatewayProfile/)
})

function registrationsOf(file: string) {
  const loaded = readIdentityConfig({ file, text: read(file), environment: readIdentityEnvironment({}) })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults))
  return loaded.value.registrations
}

test('how long workloads go on is said from the lifetimes that the code and the deployed files have', () => {
  const deployed = registrationsOf('infra/configuration/files/identity.yaml')
  const ttlOf = (name: string) => deployed.find((one) => one.name === name)
  const [workload, gateway] = [ttlOf('payments-api'), ttlOf('gateway')]
  const day = 24 * 3_600_000
  const rows: readonly [string, string][] = [
    ["workload's SVID", `${(workload?.x509.ttlSeconds ?? 0) / 3600} h`],
    ["gateway's own SVID", `${(gateway?.x509.ttlSeconds ?? 0) / 3600} h`],
    ['issuing CA', `${ISSUING_LIFETIME_MS / day} days`],
    ['JWT-SVID', `${(workload?.jwt.ttlSeconds ?? 0) / 60} min`],
    ['root', `${ROOT_LIFETIME_MS / day / 365} years`],
  ]
  const page = read('docs/disaster.md')
  for (const [what, lives] of rows) expect(page).toMatch(new RegExp(`^\\| ${what} +\\| ${lives} +\\|`, 'm'))
})

/** Words behind `sallyport` in the examples of workloads. */
function commands(): readonly (readonly [string, readonly string[]])[] {
  const { containerDefinitions } = JSON.parse(read('examples/connect/ecs/task-definition.json')) as {
    containerDefinitions: { name: string; command?: string[] }[]
  }
  const pod = parse(read('examples/connect/eks/pod.yaml')) as {
    spec: { initContainers: { args: string[] }[] }
  }
  const unit = /^ExecStart=(.*)$/m.exec(read('examples/connect/ec2/sallyport-identity.service'))?.[1] ?? ''
  return [
    ['ecs', containerDefinitions.find(({ name }) => name === 'identity')?.command ?? []],
    ['eks', pod.spec.initContainers[0]?.args ?? []],
    ['ec2', unit.split(' ').map((word) => (path.basename(word) === 'sallyport' ? 'sallyport' : word))],
  ]
}

test.each(commands())('the command of examples/connect/%s is one', (_, words) => {
  const [name, group, command, ...options] = words
  expect([name, group, command]).toEqual(['sallyport', 'identity', 'fetch'])
  const fetch = createProgram()
    .commands.find((one) => one.name() === 'identity')
    ?.commands.find((one) => one.name() === 'fetch')
  const parsed = fetch?.parseOptions([...options])
  expect(parsed).toEqual({ operands: [], unknown: [] })
  expect(fetch?.opts()).toMatchObject({ authority: 'https://identity.example.org', watch: true })
})

test('the examples of workloads use the registrations and the volume that they name', () => {
  const names = registrationsOf('examples/authority/identity.yaml').map((one) => one.name)
  expect(names).toEqual(expect.arrayContaining(['payments-api', 'invoices', 'orders-in-eks']))
  const { volumes, containerDefinitions } = JSON.parse(read('examples/connect/ecs/task-definition.json')) as {
    volumes: { name: string }[]
    containerDefinitions: { mountPoints: { sourceVolume: string; readOnly?: boolean }[] }[]
  }
  const mounts = containerDefinitions.flatMap(({ mountPoints }) => mountPoints)
  expect(new Set(mounts.map(({ sourceVolume }) => sourceVolume))).toEqual(
    new Set(volumes.map(({ name }) => name)),
  )
  // The workload reads its key and cannot replace it.
  expect(mounts.map(({ readOnly = false }) => readOnly)).toEqual([false, true])
})
