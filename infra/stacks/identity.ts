// The second stack: the authority. It holds what cannot be made again.
import * as cdk from 'aws-cdk-lib'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import type { Construct } from 'constructs'
import { type FindAsset, stageFiles } from '../assets.ts'
import { metricNamespace } from '../configuration/names.ts'
import { SallyportIdentity } from '../identity/identity.ts'
import type { Settings } from '../settings.ts'
import type { Sources } from '../sources/read.ts'
import { logRetentionOf, removalPolicyOf, SallyportStack } from '../stack.ts'
import type { NetworkStack } from './network.ts'

export interface IdentityStackProps {
  readonly settings: Settings
  readonly sources: Sources
  readonly network: NetworkStack
  readonly findAsset: FindAsset
}

export class IdentityStack extends SallyportStack {
  readonly identity: SallyportIdentity

  constructor(scope: Construct, { settings, sources, network, findAsset }: IdentityStackProps) {
    super(scope, 'identity', { settings, description: 'authority', stateful: true })
    const { customDomain, throttle, reservedConcurrency } = settings.identity
    const { adopt } = settings
    const endpoints = endpointsOf(settings, network)
    const code = (name: 'identity' | 'rotation' | 'birth') => lambda.Code.fromAsset(findAsset(name))
    this.identity = new SallyportIdentity(this, 'Identity', {
      trustDomain: sources.identity.trustDomain,
      metricsNamespace: metricNamespace(settings.name),
      code: { identity: code('identity'), rotation: code('rotation'), birth: code('birth') },
      configuration: lambda.Code.fromAsset(stageFiles(sources.identityFiles)),
      gatewayDnsNames: [settings.gateway.dnsName],
      vpcEndpointIds: endpoints,
      throttle,
      removalPolicy: removalPolicyOf(settings),
      encryptionKey: network.encryptionKey,
      logRetention: logRetentionOf(settings),
      rotationRoleName: `${settings.name}-rotation`,
      ...(adopt === undefined ? {} : { adopt: { ...adopt, secretArn: adopt.issuingSecretArn } }),
      ...(customDomain === undefined ? {} : { customDomain }),
      ...(reservedConcurrency === null ? {} : { reservedConcurrency }),
    })
    this.#output()
  }

  #output(): void {
    const { authorityUrl, issuer, issuing, publicApi, tables } = this.identity
    new cdk.CfnOutput(this, 'AuthorityUrl', {
      description: 'Where identities are asked for',
      value: authorityUrl,
    })
    new cdk.CfnOutput(this, 'Issuer', { description: 'iss of JWT-SVIDs, audience of proofs', value: issuer })
    new cdk.CfnOutput(this, 'IssuingSecret', {
      description: 'The CA: rotate it by hand with this ARN',
      value: issuing.secret.secretArn,
    })
    const kept = {
      RootKeys: issuing.rootKeys.map(({ keyArn }) => keyArn).join(','),
      ReplayTable: tables.replay.tableName,
      IssuancesTable: tables.issuances.tableName,
    }
    for (const [name, value] of Object.entries(kept)) {
      new cdk.CfnOutput(this, name, { description: 'Of adopt in a later deployment', value })
    }
    if (publicApi.domainTarget !== null) {
      new cdk.CfnOutput(this, 'DomainTarget', {
        description: 'The DNS name of the authority must point here',
        value: publicApi.domainTarget,
      })
    }
  }
}

function endpointsOf({ identity }: Settings, { network }: NetworkStack): readonly string[] {
  if (identity.exposure === 'public') return []
  if (identity.vpcEndpoints.length > 0) return identity.vpcEndpoints
  return network.authorityEndpointId === null ? [] : [network.authorityEndpointId]
}
