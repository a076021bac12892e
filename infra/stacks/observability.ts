// The last stack: what an operator sees.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import * as sns from 'aws-cdk-lib/aws-sns'
import type { Construct } from 'constructs'
import { SallyportObservability } from '../observability/observability.ts'
import type { Settings } from '../settings.ts'
import { logRetentionOf, SallyportStack } from '../stack.ts'
import type { ConfigurationStack } from './configuration.ts'
import type { GatewayStack } from './gateway.ts'
import type { IdentityStack } from './identity.ts'
import type { NetworkStack } from './network.ts'

export interface ObservabilityStackProps {
  readonly settings: Settings
  readonly network: NetworkStack
  readonly identity: IdentityStack
  readonly configuration: ConfigurationStack
  readonly gateway: GatewayStack
}

export class ObservabilityStack extends SallyportStack {
  readonly observability: SallyportObservability

  constructor(scope: Construct, props: ObservabilityStackProps) {
    const { settings, network } = props
    super(scope, 'observability', { settings, description: 'observability', stateful: false })
    const [identity, configuration, gateway] = [
      props.identity.identity,
      props.configuration.configuration,
      props.gateway.gateway,
    ]
    const { alarmTopicArn } = settings.observability
    const topic = alarmTopicArn === undefined ? null : sns.Topic.fromTopicArn(this, 'Topic', alarmTopicArn)
    this.observability = new SallyportObservability(this, 'Observability', {
      ...{ identity, configuration, gateway, deploymentName: settings.name },
      logRetention: logRetentionOf(settings),
      ...(topic === null ? {} : { alarmTopic: topic }),
      encryptionKey: network.encryptionKey,
    })
    this.#watchNat(props, topic)
  }

  /** A NAT gateway without ports refuses connections to one destination while all others work: hard to find otherwise. */
  #watchNat({ network }: ObservabilityStackProps, topic: sns.ITopic | null): void {
    const gateways = network.network.natGatewayIds
    for (const [index, id] of gateways.entries()) {
      const alarm = new cloudwatch.Alarm(this, `NatPorts${index + 1}`, {
        metric: new cloudwatch.Metric({
          namespace: 'AWS/NATGateway',
          metricName: 'ErrorPortAllocation',
          dimensionsMap: { NatGatewayId: id },
          statistic: 'Sum',
          period: cdk.Duration.minutes(5),
        }),
        threshold: 0,
        evaluationPeriods: 1,
        comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        alarmDescription: 'A NAT gateway has no port left towards a destination. docs/runbooks.md#natports',
      })
      if (topic !== null) alarm.addAlarmAction(new SnsAction(topic))
    }
  }
}
