// The way in: an internal network load balancer whose listeners are the gateway's, byte for byte, since only the gateway
// may see a client's certificate. Every rule from client to balancer to task is written here: CDK writes none of them.
import * as cdk from 'aws-cdk-lib'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import { Construct } from 'constructs'
import type { ListenerNeed } from '../../gateway/config/needs.ts'

export interface BalancerProps {
  readonly vpc: ec2.IVpc
  readonly subnets: ec2.SubnetSelection
  readonly listeners: readonly ListenerNeed[]
  readonly healthPort: number
  /** Networks in CIDR form. */
  readonly clients: readonly string[]
  /** Of the tasks. */
  readonly tasks: ec2.SecurityGroup
  readonly crossZone: boolean
  readonly deletionProtection: boolean
  readonly deregistrationDelay: cdk.Duration
  readonly idleTimeout: cdk.Duration
  /** A second target group for each listener, between which deployments switch. */
  readonly blueGreen: boolean
}

export interface Way {
  readonly listener: elb.NetworkListener
  readonly targets: elb.NetworkTargetGroup
  /** Null where deployments are rolling. */
  readonly alternate: elb.NetworkTargetGroup | null
}

export class Balancer extends Construct {
  readonly loadBalancer: elb.NetworkLoadBalancer
  readonly securityGroup: ec2.SecurityGroup
  /** By the listener's name. */
  readonly ways: ReadonlyMap<string, Way>

  constructor(scope: Construct, id: string, props: BalancerProps) {
    super(scope, id)
    const { vpc, subnets } = props
    this.securityGroup = new ec2.SecurityGroup(this, 'Group', {
      vpc,
      description: 'Clients to the gateway',
      allowAllOutbound: false,
    })
    this.loadBalancer = new elb.NetworkLoadBalancer(this, 'Balancer', {
      vpc,
      vpcSubnets: subnets,
      internetFacing: false,
      // One that is made without a group can never get one.
      securityGroups: [this.securityGroup],
      crossZoneEnabled: props.crossZone,
      deletionProtection: props.deletionProtection,
      enforceSecurityGroupInboundRulesOnPrivateLinkTraffic: true,
    })
    this.#writeRules(props)
    this.ways = new Map(props.listeners.map((listener) => [listener.name, this.#listen(listener, props)]))
  }

  #writeRules({ clients, tasks, listeners, healthPort }: BalancerProps): void {
    for (const { name, port } of listeners) {
      for (const client of clients) {
        this.securityGroup.addIngressRule(ec2.Peer.ipv4(client), ec2.Port.tcp(port), `clients of ${name}`)
      }
      this.securityGroup.connections.allowTo(tasks, ec2.Port.tcp(port), `listener ${name}`)
    }
    this.securityGroup.connections.allowTo(tasks, ec2.Port.tcp(healthPort), 'health checks')
  }

  #listen({ name, port }: ListenerNeed, props: BalancerProps): Way {
    const targets = this.#makeTargets(`Targets-${name}`, port, props)
    const alternate = props.blueGreen ? this.#makeTargets(`Alternate-${name}`, port, props) : null
    const listener = this.loadBalancer.addListener(`Listener-${name}`, {
      port,
      protocol: elb.Protocol.TCP,
      tcpIdleTimeout: props.idleTimeout,
      defaultTargetGroups: [targets],
    })
    return { listener, targets, alternate }
  }

  #makeTargets(id: string, port: number, props: BalancerProps): elb.NetworkTargetGroup {
    const group = new elb.NetworkTargetGroup(this, id, {
      vpc: props.vpc,
      port,
      protocol: elb.Protocol.TCP,
      targetType: elb.TargetType.IP,
      // The header says who connects; the address itself would be preserved in its place, and return paths break by it.
      proxyProtocolV2: true,
      preserveClientIp: false,
      deregistrationDelay: props.deregistrationDelay,
      // The gateway ends what is left, spread over its drain, and with the right reason in the record.
      connectionTermination: false,
      healthCheck: {
        protocol: elb.Protocol.HTTP,
        path: '/readyz',
        port: String(props.healthPort),
        interval: cdk.Duration.seconds(10),
        timeout: cdk.Duration.seconds(6),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 3,
        healthyHttpCodes: '200',
      },
    })
    // Its default cuts every session of a task that turns unhealthy for a moment.
    group.setAttribute('target_health_state.unhealthy.connection_termination.enabled', 'false')
    group.setAttribute('target_health_state.unhealthy.draining_interval_seconds', '300')
    return group
  }
}
