// The third stack: configuration.
import * as cdk from 'aws-cdk-lib'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import { type FindAsset, stageFiles } from '../assets.ts'
import { SallyportConfiguration } from '../configuration/configuration.ts'
import { PLACES } from '../gateway/plan.ts'
import type { Settings } from '../settings.ts'
import type { Sources } from '../sources/read.ts'
import { logRetentionOf, SallyportStack } from '../stack.ts'
import type { IdentityStack } from './identity.ts'
import type { NetworkStack } from './network.ts'

export interface ConfigurationStackProps {
  readonly settings: Settings
  readonly sources: Sources
  readonly network: NetworkStack
  readonly identity: IdentityStack
  readonly findAsset: FindAsset
}

/** What the validator compares later configurations with. */
export function describeDeployed({ gateway }: Sources): string {
  const { listeners, healthPort, adminPort, egressPorts, secretArns, dnsServers } = gateway
  const deployed = { listeners, healthPort, adminPort, egressPorts, secretArns, dnsServers, places: PLACES }
  return `${JSON.stringify(deployed, null, 1)}\n`
}

export class ConfigurationStack extends SallyportStack {
  readonly configuration: SallyportConfiguration

  constructor(scope: Construct, props: ConfigurationStackProps) {
    const { settings, sources, network, identity, findAsset } = props
    super(scope, 'configuration', { settings, description: 'configuration', stateful: false })
    const { rollout, refusedPercent } = settings.configuration
    this.configuration = new SallyportConfiguration(this, 'Configuration', {
      deploymentName: settings.name,
      bundle: sources.bundle,
      validatorCode: lambda.Code.fromAsset(findAsset('validate-config')),
      deployed: lambda.Code.fromAsset(stageFiles(new Map([['deployed.json', describeDeployed(sources)]]))),
      rollout: {
        duration: cdk.Duration.minutes(rollout.minutes),
        growthPercent: rollout.growthPercent,
        bake: cdk.Duration.minutes(rollout.bakeMinutes),
      },
      refusedPercent,
      encryptionKey: network.encryptionKey,
      logRetention: logRetentionOf(settings),
    })
    // A configuration is of use to nobody before there are identities.
    this.addStackDependency(identity, 'the CA is born first')
    new cdk.CfnOutput(this, 'Source', { description: 'Of the gateway', value: this.configuration.source })
  }
}
