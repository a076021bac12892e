// Your deployments: one value each. Everything that is left out has the default of settings.ts. Fill in the account, the
// region and the networks of your clients, and the files that `configuration.directory` names.
import type { SettingsInput } from './settings.ts'

/** One NAT gateway and one task: a working Sallyport at the lowest price, which a failing zone takes along. */
const dev: SettingsInput = {
  name: 'sallyport-dev',
  stage: 'dev',
  account: '111122223333',
  region: 'eu-west-1',
  logRetentionDays: 30,
}

/** Three zones, each with a NAT gateway, a task and endpoints of its own; what is stateful stays. */
const prod: SettingsInput = {
  name: 'sallyport-prod',
  stage: 'prod',
  account: '111122223333',
  region: 'eu-west-1',
  logRetentionDays: 365,
  network: {
    natGateways: 'perZone',
    availabilityZones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c'],
    endpoints: 'aws',
  },
  gateway: { tasks: { minimum: 3, maximum: 12 }, memoryMiB: 4096 },
  observability: { archiveDays: 400 },
}

export const ENVIRONMENTS: Readonly<Record<string, SettingsInput>> = { dev, prod }
