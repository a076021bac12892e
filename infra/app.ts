// A deployment as stacks, in the order in which they are made: network, identity, configuration, gateway, observability.
import * as cdk from 'aws-cdk-lib'
import type { FindAsset } from './assets.ts'
import type { Settings } from './settings.ts'
import { readSources, type Sources } from './sources/read.ts'
import { ConfigurationStack } from './stacks/configuration.ts'
import { GatewayStack } from './stacks/gateway.ts'
import { IdentityStack } from './stacks/identity.ts'
import { NetworkStack } from './stacks/network.ts'
import { ObservabilityStack } from './stacks/observability.ts'

export interface Deployment {
  readonly sources: Sources
  readonly network: NetworkStack
  readonly identity: IdentityStack
  readonly configuration: ConfigurationStack
  readonly gateway: GatewayStack
  readonly observability: ObservabilityStack
}

/** @throws ConfigurationError where the files that are deployed do not go with the settings */
export function addDeployment(app: cdk.App, settings: Settings, findAsset: FindAsset): Deployment {
  const sources = readSources(settings)
  cdk.Tags.of(app).add('sallyport', settings.name)
  for (const [key, value] of Object.entries(settings.tags)) cdk.Tags.of(app).add(key, value)
  const network = new NetworkStack(app, settings)
  const identity = new IdentityStack(app, { settings, sources, network, findAsset })
  const configuration = new ConfigurationStack(app, { settings, sources, network, identity, findAsset })
  const gateway = new GatewayStack(app, { settings, sources, network, identity, configuration, findAsset })
  const observability = new ObservabilityStack(app, { settings, network, identity, configuration, gateway })
  return { sources, network, identity, configuration, gateway, observability }
}
