// The gateway on AWS: balancer, services, their log and their name. Its own identity it gets by its task role.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as ecs from 'aws-cdk-lib/aws-ecs'
import type { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as kms from 'aws-cdk-lib/aws-kms'
import type * as logs from 'aws-cdk-lib/aws-logs'
import * as route53 from 'aws-cdk-lib/aws-route53'
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets'
import { Construct } from 'constructs'
import type { GatewayNeeds, ListenerNeed } from '../../gateway/config/needs.ts'
import { Balancer, type Way } from './balancer.ts'
import { alternateOf, createSwitchRole } from './blue-green.ts'
import { Evidence, type EvidenceProps } from './evidence.ts'
import { planServices } from './plan.ts'
import { type ScalingOptions, scaleOut } from './scaling.ts'
import { CONTAINER, createExecutionRole, createLog, createTask, createTaskRole } from './task.ts'

export interface PrivateLinkProps {
  /** Who may make endpoints to the gateway: ARNs. */
  readonly principals: readonly string[]
  /** @default true */
  readonly acceptanceRequired?: boolean
  /** The consumers' networks. */
  readonly consumerCidrs: readonly string[]
}

export interface SallyportGatewayProps {
  readonly vpc: ec2.IVpc
  readonly subnets: ec2.SubnetSelection
  /** The VPC's network in CIDR form: the balancer's addresses are of it, and by default its clients. */
  readonly vpcCidr: string
  /** What the configuration needs. */
  readonly needs: GatewayNeeds
  readonly image: ecs.ContainerImage
  /** `appconfig:<application>/<environment>/<profile>` */
  readonly configurationSource: string
  /** `appconfig:<application>/<environment>/<profile>` of the list of revocations. */
  readonly revocationsSource: string
  /** Of the metrics that the tasks write. */
  readonly metricsNamespace: string
  readonly authorityUrl: string
  /** What the gateway's proofs are made for: the authority's issuer. @default - authorityUrl */
  readonly authorityAudience?: string
  /** What clients call the gateway; of its certificate, too. */
  readonly dnsName: string
  /** @default - CloudFormation's, which no registration can name beforehand */
  readonly roleName?: string
  /** Networks that may connect, in CIDR form. @default - the VPC's */
  readonly clients?: readonly string[]
  /**
   * Networks from which operators reach the admin port of tasks, in CIDR form: `sallyport sessions --ecs`. Who may do what
   * is said by `admin.workloads` of gateway.yaml.
   * @default - nobody
   */
  readonly operators?: readonly string[]
  /** Names of listeners by service. @default - all in one */
  readonly services?: readonly (readonly string[])[]
  /** @default - one to four tasks; 60 % of CPU, 4000 sessions a task */
  readonly scaling?: ScalingOptions
  /** New tasks all at once, then a switch, and the old ones kept for so long. @default - task by task */
  readonly blueGreen?: { readonly bake: cdk.Duration }
  /** @default 2048 */
  readonly memoryMiB?: number
  /** @default 65536 */
  readonly openFiles?: number
  /** @default Duration.seconds(120) */
  readonly stopTimeout?: cdk.Duration
  /** @default Duration.seconds(300) */
  readonly deregistrationDelay?: cdk.Duration
  /** @default Duration.seconds(3900) */
  readonly idleTimeout?: cdk.Duration
  /** @default true */
  readonly crossZone?: boolean
  /** @default true */
  readonly deletionProtection?: boolean
  /** KMS keys of the secrets that gateway.yaml names. @default - AWS's own */
  readonly secretKeyArns?: readonly string[]
  /** A bucket under object lock for checkpoints of the audit. @default - they are in the log alone */
  readonly evidence?: EvidenceProps
  /** An endpoint service for other VPCs and accounts. @default - none */
  readonly privateLink?: PrivateLinkProps
  /** Alarms that undo a deployment, besides that no task is healthy. @default - none */
  readonly deploymentAlarms?: readonly cloudwatch.IAlarm[]
  /** @default - CloudWatch Logs' own */
  readonly encryptionKey?: kms.IKey
  /** @default logs.RetentionDays.THREE_MONTHS */
  readonly logRetention?: logs.RetentionDays
}

const SCALING: ScalingOptions = { minimum: 1, maximum: 4, cpuPercent: 60, sessionsPerTask: 4000 }
/** A task is not ready before it has an identity, which the authority may be slow to give. */
const GRACE = cdk.Duration.minutes(5)

export class SallyportGateway extends Construct implements ec2.IConnectable, iam.IGrantable {
  readonly balancer: Balancer
  readonly cluster: ecs.Cluster
  readonly services: readonly ecs.FargateService[]
  readonly taskRole: iam.Role
  readonly grantPrincipal: iam.IPrincipal
  /** Audit records and logs. */
  readonly logGroup: logs.LogGroup
  /** Of the tasks: what they may reach. */
  readonly connections: ec2.Connections
  readonly endpointService: ec2.VpcEndpointService | null
  readonly evidence: Evidence | null
  readonly noHealthyTask: readonly cloudwatch.Alarm[]
  readonly #props: SallyportGatewayProps
  readonly #tasks: ec2.SecurityGroup
  readonly #executionRole: iam.Role
  readonly #switchRole: iam.Role | null

  constructor(scope: Construct, id: string, props: SallyportGatewayProps) {
    super(scope, id)
    this.#props = props
    const { needs, stopTimeout = cdk.Duration.seconds(120), openFiles = 65_536 } = props
    const stopTimeoutSeconds = stopTimeout.toSeconds()
    if (stopTimeoutSeconds > 120) {
      throw new Error(
        `expected stopTimeout of 120 s at most, which Fargate takes, got ${stopTimeoutSeconds} s`,
      )
    }
    const { services = null, operators = [] } = props
    const blueGreen = props.blueGreen !== undefined
    const groups = planServices({ needs, services, operators, stopTimeoutSeconds, openFiles, blueGreen })
    const { secretArns } = needs
    const { roleName, secretKeyArns = [] } = props
    this.taskRole = createTaskRole(this, { roleName, secretArns, secretKeyArns })
    this.grantPrincipal = this.taskRole
    this.#executionRole = createExecutionRole(this)
    this.evidence = props.evidence === undefined ? null : new Evidence(this, 'Evidence', props.evidence)
    this.evidence?.grantPutCheckpoints(this)
    this.logGroup = createLog(this, props.logRetention, props.encryptionKey)
    this.#tasks = this.#makeTaskGroup()
    this.connections = new ec2.Connections({ securityGroups: [this.#tasks] })
    this.balancer = this.#makeBalancer()
    this.#switchRole =
      props.blueGreen === undefined ? null : createSwitchRole(this, [...this.balancer.ways.values()])
    this.noHealthyTask = needs.listeners.map((listener) => this.#makeAlarm(listener))
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      vpc: props.vpc,
      containerInsightsV2: ecs.ContainerInsights.ENABLED,
      enableFargateCapacityProviders: false,
    })
    this.services = groups.map((listeners, index) =>
      this.#serve(index + 1, listeners, { stopTimeout, openFiles }),
    )
    this.#makeName()
    this.endpointService = this.#makeEndpointService()
  }

  /** Lets somebody read audit records and logs. */
  grantReadLogs(grantee: iam.IGrantable): iam.Grant {
    return this.logGroup.grantRead(grantee)
  }

  /** Connections that are open, as the balancer counts them. */
  metricConnections(options: cloudwatch.MetricOptions = {}): cloudwatch.Metric {
    return this.balancer.loadBalancer.metrics.activeFlowCount(options)
  }

  /**
   * Tasks that take connections of a listener. The largest value, since each zone tells its own: one without a task tells 0
   * while the tasks of the others serve it. @throws Error where there is none of that name
   */
  metricHealthyTasks(listener: string, options: cloudwatch.MetricOptions = {}): cloudwatch.IMetric {
    const { targets, alternate } = this.#wayOf(listener)
    // By names: of a group that is on no listener at synth, CDK gives none.
    const of = (group: NetworkTargetGroup) =>
      new cloudwatch.Metric({
        namespace: 'AWS/NetworkELB',
        metricName: 'HealthyHostCount',
        dimensionsMap: {
          LoadBalancer: this.balancer.loadBalancer.loadBalancerFullName,
          TargetGroup: group.targetGroupFullName,
        },
        statistic: 'Maximum',
        ...options,
      })
    if (alternate === null) return of(targets)
    return new cloudwatch.MathExpression({
      expression: 'FILL(blue, 0) + FILL(green, 0)',
      usingMetrics: { blue: of(targets), green: of(alternate) },
      label: 'healthy tasks',
      ...(options.period === undefined ? {} : { period: options.period }),
    })
  }

  #wayOf(name: string): Way {
    const way = this.balancer.ways.get(name)
    if (way === undefined) throw new Error(`expected the name of a listener, got ${name}`)
    return way
  }

  #makeTaskGroup(): ec2.SecurityGroup {
    const { vpc, needs, operators = [] } = this.#props
    const { adminPort } = needs
    const group = new ec2.SecurityGroup(this, 'Tasks', {
      vpc,
      description: 'The gateway: the balancer in, destinations out',
      allowAllOutbound: false,
    })
    for (const port of new Set([443, ...needs.egressPorts])) {
      group.addEgressRule(
        ec2.Peer.anyIpv4(),
        ec2.Port.tcp(port),
        port === 443 ? 'AWS and destinations' : 'destinations',
      )
    }
    if (adminPort !== null) {
      for (const operator of operators) {
        group.addIngressRule(ec2.Peer.ipv4(operator), ec2.Port.tcp(adminPort), 'operators')
      }
    }
    for (const { host, port } of needs.dnsServers) {
      const server = ec2.Peer.ipv4(`${host}/32`)
      group.addEgressRule(server, ec2.Port.udp(port), 'DNS server')
      group.addEgressRule(server, ec2.Port.tcp(port), 'DNS server')
    }
    return group
  }

  #makeBalancer(): Balancer {
    const { vpc, subnets, needs, vpcCidr, privateLink } = this.#props
    const clients = this.#props.clients ?? [vpcCidr]
    return new Balancer(this, 'Balancer', {
      ...{ vpc, subnets, tasks: this.#tasks },
      listeners: needs.listeners,
      healthPort: needs.healthPort,
      clients: [...new Set([...clients, ...(privateLink?.consumerCidrs ?? [])])],
      crossZone: this.#props.crossZone ?? true,
      deletionProtection: this.#props.deletionProtection ?? true,
      blueGreen: this.#props.blueGreen !== undefined,
      deregistrationDelay: this.#props.deregistrationDelay ?? cdk.Duration.seconds(300),
      idleTimeout: this.#props.idleTimeout ?? cdk.Duration.seconds(3900),
    })
  }

  /** Of the balancer's own metrics: those of the service would make a circle with its deployment. */
  #makeAlarm({ name }: ListenerNeed): cloudwatch.Alarm {
    return new cloudwatch.Alarm(this, `NoHealthy-${name}`, {
      metric: this.metricHealthyTasks(name, { period: cdk.Duration.minutes(1) }),
      alarmDescription: `No task takes connections of listener ${name}. docs/runbooks.md#nohealthy`,
      threshold: 1,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 5,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    })
  }

  #serve(
    index: number,
    listeners: readonly ListenerNeed[],
    limits: { readonly stopTimeout: cdk.Duration; readonly openFiles: number },
  ): ecs.FargateService {
    const { blueGreen, needs, image, memoryMiB = 2048, scaling = SCALING, subnets } = this.#props
    const taskDefinition = createTask(this, `Task${index}`, {
      ...{ image, memoryMiB, ...limits },
      command: ['--config', this.#props.configurationSource],
      environment: this.#environment(),
      // Every task listens on all of them: it is one configuration. A service takes connections of its own alone.
      ports: needs.listeners.map(({ port }) => port),
      healthPort: needs.healthPort,
      role: this.taskRole,
      executionRole: this.#executionRole,
      logGroup: this.logGroup,
    })
    const service = new ecs.FargateService(this, `Service${index}`, {
      // CDK's own class does not fit its interface under exactOptionalPropertyTypes.
      cluster: this.cluster as ecs.ICluster,
      taskDefinition,
      // No desiredCount: each update of the service would set it again, and take away, with their sessions, the tasks that
      // scaling has added. The scalable target's minimum brings the first ones.
      vpcSubnets: subnets,
      securityGroups: [this.#tasks],
      assignPublicIp: false,
      enableExecuteCommand: false,
      healthCheckGracePeriod: GRACE,
      ...(blueGreen === undefined
        ? {}
        : { deploymentStrategy: ecs.DeploymentStrategy.BLUE_GREEN, bakeTime: blueGreen.bake }),
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      // It would move tasks, and end their sessions, to even out zones.
      availabilityZoneRebalancing: ecs.AvailabilityZoneRebalancing.DISABLED,
      circuitBreaker: { enable: true, rollback: true },
      deploymentAlarms: {
        alarmNames: [...this.noHealthyTask, ...(this.#props.deploymentAlarms ?? [])].map(
          ({ alarmName }) => alarmName,
        ),
        behavior: ecs.AlarmBehavior.ROLLBACK_ON_ALARM,
      },
      propagateTags: ecs.PropagatedTagSource.SERVICE,
    })
    // ECS pulls at once, and a task that may not yet pull is a failed one.
    service.node.addDependency(this.#executionRole)
    for (const { name, port } of listeners) {
      const way = this.#wayOf(name)
      const alternateTarget = alternateOf(`Alternate-${name}`, way, this.#switchRole)
      way.targets.addTarget(
        service.loadBalancerTarget({
          containerName: CONTAINER,
          containerPort: port,
          ...(alternateTarget === undefined ? {} : { alternateTarget }),
        }),
      )
    }
    const [first] = listeners
    if (first === undefined) throw new Error(`expected a listener in service ${index}, got none`)
    scaleOut(
      {
        service,
        balancer: this.balancer.loadBalancer,
        tasks: this.metricHealthyTasks(first.name, { period: cdk.Duration.minutes(1) }),
        listeners: listeners.map(({ name }) => name),
        metricsNamespace: this.#props.metricsNamespace,
      },
      scaling,
    )
    return service
  }

  /** What only the deployment knows (docs/deploy.md#environment). */
  #environment(): Readonly<Record<string, string>> {
    const { authorityUrl, authorityAudience, vpcCidr, revocationsSource, metricsNamespace } = this.#props
    return {
      // Fargate sets it too, and no document promises it.
      AWS_REGION: cdk.Stack.of(this).region,
      SALLYPORT_AUTHORITY_URL: authorityUrl,
      // A private authority is reached by another name than its own.
      SALLYPORT_AUTHORITY_AUDIENCE: authorityAudience ?? authorityUrl,
      SALLYPORT_METRICS_NAMESPACE: metricsNamespace,
      SALLYPORT_PROXY_PROTOCOL_FROM: vpcCidr,
      SALLYPORT_REVOCATIONS: revocationsSource,
      ...(this.evidence === null ? {} : { SALLYPORT_CHECKPOINTS: this.evidence.checkpoints }),
    }
  }

  /** The name in the certificate: clients never use the balancer's, which changes with it. */
  #makeName(): void {
    const { vpc, dnsName } = this.#props
    // The name alone and not what is above it: a zone of `example.com` would hide all other names below it from the VPC.
    const zone = new route53.PrivateHostedZone(this, 'Zone', { vpc, zoneName: dnsName })
    new route53.ARecord(this, 'Name', {
      zone,
      target: route53.RecordTarget.fromAlias(new LoadBalancerTarget(this.balancer.loadBalancer)),
    })
  }

  #makeEndpointService(): ec2.VpcEndpointService | null {
    const { privateLink } = this.#props
    if (privateLink === undefined) return null
    return new ec2.VpcEndpointService(this, 'EndpointService', {
      vpcEndpointServiceLoadBalancers: [this.balancer.loadBalancer],
      acceptanceRequired: privateLink.acceptanceRequired ?? true,
      allowedPrincipals: privateLink.principals.map((arn) => new iam.ArnPrincipal(arn)),
    })
  }
}
