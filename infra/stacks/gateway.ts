// The fourth stack: the gateway.
import * as cdk from 'aws-cdk-lib'
import * as ecr from 'aws-cdk-lib/aws-ecr'
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

const ECR_URI =
  /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/([a-z0-9][a-z0-9._/-]*)(?::([\w.-]+)|@(sha256:[0-9a-f]{64}))$/

/** ECR gives an image to whoever may pull it: the execution role must be allowed to, and is by the repository alone. */
function findImage(scope: Construct, uri: string): ecs.ContainerImage {
  const [, account, region, repositoryName, tag, digest] = ECR_URI.exec(uri) ?? []
  if (repositoryName === undefined) return ecs.ContainerImage.fromRegistry(uri)
  const { partition } = cdk.Stack.of(scope)
  const repositoryArn = `arn:${partition}:ecr:${region}:${account}:repository/${repositoryName}`
  const repository = ecr.Repository.fromRepositoryAttributes(scope, 'ImageRepository', {
    repositoryArn,
    repositoryName,
  })
  return ecs.ContainerImage.fromEcrRepository(repository, tag ?? digest)
}

/** Only hashed at synth; built by docker, or what `CDK_DOCKER` names, at deployment. */
function createImage(
  scope: Construct,
  { gateway: { image } }: Settings,
  findAsset: FindAsset,
): ecs.ContainerImage {
  if (image.uri !== undefined) return findImage(scope, image.uri)
  const digest = image.baseDigest === undefined ? '' : `@${image.baseDigest}`
  return ecs.ContainerImage.fromAsset(findAsset('image'), {
    platform: Platform.LINUX_ARM64,
    buildArgs: { BASE: `${image.base}${digest}`, JEMALLOC: image.malloc === 'jemalloc' ? 'debian' : '' },
  })
}

export class GatewayStack extends SallyportStack {
  readonly gateway: SallyportGateway

  constructor(scope: Construct, props: GatewayStackProps) {
    const { settings, sources, network, identity, configuration, findAsset } = props
    super(scope, 'gateway', { settings, description: 'gateway', stateful: false })
    const { archiveDays } = settings.observability
    const { tasks, scaleOut, services, clients, operators, privateLink, ...rest } = settings.gateway
    this.gateway = new SallyportGateway(this, 'Gateway', {
      vpc: network.network.vpc,
      subnets: network.network.subnets,
      vpcCidr: network.network.cidr,
      needs: sources.gateway,
      image: createImage(this, settings, findAsset),
      configurationSource: configuration.configuration.source,
      revocationsSource: configuration.configuration.revocationsSource,
      metricsNamespace: metricNamespace(settings.name),
      authorityUrl: identity.identity.authorityUrl,
      authorityAudience: identity.identity.issuer,
      dnsName: rest.dnsName,
      roleName: sources.identity.gatewayRoleName,
      clients: clients.length > 0 ? clients : [network.network.cidr],
      operators,
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
