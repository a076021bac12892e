// The fourth stack: the gateway.
import * as cdk from 'aws-cdk-lib'
import { Platform } from 'aws-cdk-lib/aws-ecr-assets'
import * as ecs from 'aws-cdk-lib/aws-ecs'
import type { Construct } from 'constructs'
import type { FindAsset } from '../assets.ts'
import { metricNamespace } from '../configuration/names.ts'
import { SallyportGateway } from '../gateway/gateway.ts'
import type { Settings } from '../settings.ts'
import type { Sources } from '../sources/read.ts'
import { logRetentionOf, SallyportStack } from '../stack.ts'
import type { ConfigurationStack } from './configuration.ts'
import type { IdentityStack } from './identity.ts'
import type { NetworkStack } from './network.ts'

export interface GatewayStackProps {
  readonly settings: Settings
  readonly sources: Sources
  readonly network: NetworkStack
  readonly identity: IdentityStack
  readonly configuration: ConfigurationStack
  readonly findAsset: FindAsset
}

/** Only hashed at synth; built by docker, or what `CDK_DOCKER` names, at deployment. */
function createImage({ gateway: { image } }: Settings, findAsset: FindAsset): ecs.ContainerImage {
  if (image.uri !== undefined) return ecs.ContainerImage.fromRegistry(image.uri)
  const digest = image.baseDigest === undefined ? '' : `@${image.baseDigest}`
  return ecs.ContainerImage.fromAsset(findAsset('image'), {
    platform: Platform.LINUX_ARM64,
    buildArgs: { BASE: `${image.base}${digest}` },
  })
}

export class GatewayStack extends SallyportStack {
  readonly gateway: SallyportGateway

  constructor(scope: Construct, props: GatewayStackProps) {
    const { settings, sources, network, identity, configuration, findAsset } = props
    super(scope, 'gateway', { settings, description: 'gateway', stateful: false })
    const { archiveDays } = settings.observability
    const { tasks, scaleOut, services, clients, privateLink, ...rest } = settings.gateway
    this.gateway = new SallyportGateway(this, 'Gateway', {
      vpc: network.network.vpc,
      subnets: network.network.subnets,
      vpcCidr: network.network.cidr,
      needs: sources.gateway,
      image: createImage(settings, findAsset),
      configurationSource: configuration.configuration.source,
      revocationsSource: configuration.configuration.revocationsSource,
      metricsNamespace: metricNamespace(settings.name),
      authorityUrl: identity.identity.authorityUrl,
      dnsName: rest.dnsName,
      roleName: sources.identity.gatewayRoleName,
      operators: rest.operators,
      clients: clients.length > 0 ? clients : [network.network.cidr],
      scaling: { ...tasks, ...scaleOut },
      memoryMiB: rest.memoryMiB,
      openFiles: rest.openFiles,
      stopTimeout: cdk.Duration.seconds(rest.stopTimeoutSeconds),
      deregistrationDelay: cdk.Duration.seconds(rest.deregistrationDelaySeconds),
      idleTimeout: cdk.Duration.seconds(rest.idleTimeoutSeconds),
      crossZone: rest.crossZone,
      deletionProtection: settings.retain,
      secretKeyArns: rest.secretKeyArns,
      deploymentAlarms: [configuration.configuration.refusedAlarm],
      encryptionKey: network.encryptionKey,
      logRetention: logRetentionOf(settings),
      ...(services === undefined ? {} : { services }),
      ...(rest.deployment.strategy === 'rolling'
        ? {}
        : { blueGreen: { bake: cdk.Duration.minutes(rest.deployment.bakeMinutes) } }),
      ...(privateLink === undefined ? {} : { privateLink }),
      ...(archiveDays === null
        ? {}
        : { evidence: { keep: cdk.Duration.days(archiveDays), encryptionKey: network.encryptionKey } }),
    })
    configuration.configuration.grantRead(this.gateway)
    this.addStackDependency(configuration, 'the first configuration is deployed before a task asks for it')
    new cdk.CfnOutput(this, 'Name', { description: 'What clients call the gateway', value: rest.dnsName })
    const named = this.gateway.services.map(
      ({ serviceName }) => `${this.gateway.cluster.clusterName}/${serviceName}`,
    )
    new cdk.CfnOutput(this, 'Services', {
      description: 'For sallyport sessions --ecs, one at a time',
      value: named.join(','),
    })
    const service = this.gateway.endpointService
    if (service !== null) {
      const value = service.vpcEndpointServiceName
      new cdk.CfnOutput(this, 'EndpointServiceName', { description: 'For endpoints in other VPCs', value })
    }
  }
}
