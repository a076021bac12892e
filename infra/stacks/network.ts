// The first stack: network, and the key that encrypts what Sallyport keeps.
import * as cdk from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as kms from 'aws-cdk-lib/aws-kms'
import { RegionInfo } from 'aws-cdk-lib/region-info'
import type { Construct } from 'constructs'
import { SallyportNetwork } from '../network/network.ts'
import type { Settings } from '../settings.ts'
import { logRetentionOf, removalPolicyOf, SallyportStack, zonesOf } from '../stack.ts'

export class NetworkStack extends SallyportStack {
  readonly network: SallyportNetwork
  /** Of the issuing secret, the tables, the configuration and every log. */
  readonly encryptionKey: kms.IKey

  constructor(scope: Construct, settings: Settings) {
    super(scope, 'network', { settings, description: 'network', stateful: true })
    const { adopt } = settings
    this.encryptionKey =
      adopt === undefined ? makeKey(this, settings) : kms.Key.fromKeyArn(this, 'DataKey', adopt.dataKeyArn)
    new cdk.CfnOutput(this, 'DataKeyArn', {
      description: 'It encrypts what is kept: adopt.dataKeyArn of a later deployment',
      value: this.encryptionKey.keyArn,
    })
    const { existing, cidr, natGateways, egressAllocationIds, endpoints, flowLogs } = settings.network
    this.network = new SallyportNetwork(this, 'Network', {
      ...{ cidr, flowLogs, availabilityZones: zonesOf(settings) },
      ...(existing === undefined ? {} : { existing }),
      ...(egressAllocationIds === undefined ? {} : { egressAllocationIds }),
      natPerZone: natGateways === 'perZone',
      interfaceEndpoints: endpoints === 'aws',
      authorityEndpoint:
        settings.identity.exposure === 'private' && settings.identity.vpcEndpoints.length === 0,
      logRetention: logRetentionOf(settings),
      encryptionKey: this.encryptionKey,
      removalPolicy: removalPolicyOf(settings),
    })
    const { egressAddresses } = this.network
    if (egressAddresses.length > 0) {
      new cdk.CfnOutput(this, 'EgressAddresses', {
        description: 'From where destinations see connections come: what partners write into their firewalls',
        value: cdk.Fn.join(',', [...egressAddresses]),
      })
    }
  }
}

function makeKey(scope: cdk.Stack, settings: Settings): kms.Key {
  const key = new kms.Key(scope, 'DataKey', {
    description: `Sallyport ${settings.name}: secrets, tables, logs`,
    enableKeyRotation: true,
    // The log of audit records always stays, and could be read by nobody without its key.
    removalPolicy: cdk.RemovalPolicy.RETAIN,
  })
  const { partition, region, account } = scope
  key.addToResourcePolicy(
    new iam.PolicyStatement({
      principals: [
        new iam.ServicePrincipal(`logs.${region}.${RegionInfo.get(region).domainSuffix ?? scope.urlSuffix}`),
      ],
      actions: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
      // A key policy's own "*" is the key.
      resources: ['*'],
      conditions: {
        ArnLike: {
          'kms:EncryptionContext:aws:logs:arn': `arn:${partition}:logs:${region}:${account}:log-group:*`,
        },
      },
    }),
  )
  return key
}
