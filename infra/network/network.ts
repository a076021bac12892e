// The network of a deployment: private subnets whose way out has addresses that stay, and endpoints for what must not go
// that way. Nothing in it is reachable from the internet.
import * as cdk from 'aws-cdk-lib'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as logs from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import { addGatewayEndpoints, addInterfaceEndpoints, type EndpointScope } from './endpoints.ts'

/** A VPC that is there already. */
export interface ExistingVpc {
  readonly vpcId: string
  readonly cidr: string
  readonly availabilityZones: readonly string[]
  /** Each with a way out by NAT. */
  readonly privateSubnetIds: readonly string[]
  readonly privateSubnetRouteTableIds: readonly string[]
}

export interface SallyportNetworkProps {
  /**
   * A VPC that is there already.
   * @default - a VPC is made
   */
  readonly existing?: ExistingVpc
  /** @default '10.64.0.0/16' */
  readonly cidr?: string
  /** @default - those of the stack */
  readonly availabilityZones?: readonly string[]
  /**
   * One NAT gateway in each zone: none goes down with another zone, at the price of each.
   * @default false
   */
  readonly natPerZone?: boolean
  /**
   * Allocation ids of elastic IPs, as many as NAT gateways.
   * @default - new addresses
   */
  readonly egressAllocationIds?: readonly string[]
  /**
   * Interface endpoints to the services that the gateway calls.
   * @default false
   */
  readonly interfaceEndpoints?: boolean
  /**
   * An endpoint to API Gateway, by which a private authority is called: by its own name, so that public APIs are reached as
   * before.
   * @default false
   */
  readonly authorityEndpoint?: boolean
  /**
   * Accounts whose principals may use the endpoints, and whose resources may be reached by them.
   * @default - the stack's
   */
  readonly trustedAccounts?: readonly string[]
  /** @default true */
  readonly flowLogs?: boolean
  /** @default logs.RetentionDays.THREE_MONTHS */
  readonly logRetention?: logs.RetentionDays
  /** @default - CloudWatch Logs' own */
  readonly encryptionKey?: kms.IKey
  /**
   * Of new elastic IPs, which partners write into their firewalls.
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: cdk.RemovalPolicy
}

export class SallyportNetwork extends Construct {
  readonly vpc: ec2.IVpc
  /** Literal, so that rules on it can be judged at synth. */
  readonly cidr: string
  /** Where everything of Sallyport's runs. */
  readonly subnets: ec2.SubnetSelection
  /** Empty with an existing VPC. */
  readonly egressAddresses: readonly string[]
  /** Empty with an existing VPC. */
  readonly natGatewayIds: readonly string[]
  /** By which a private authority is called; null without `authorityEndpoint`. */
  readonly authorityEndpointId: string | null

  constructor(scope: Construct, id: string, props: SallyportNetworkProps = {}) {
    super(scope, id)
    this.cidr = props.existing?.cidr ?? props.cidr ?? '10.64.0.0/16'
    const made = props.existing === undefined ? this.#makeVpc(props) : null
    // CDK's own classes do not fit its interfaces under exactOptionalPropertyTypes.
    this.vpc = (made?.vpc ?? this.#importVpc(props.existing)) as ec2.IVpc
    this.egressAddresses = made?.addresses ?? []
    this.natGatewayIds = made?.natGatewayIds ?? []
    this.subnets = { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS }
    const { interfaceEndpoints = false, authorityEndpoint = false } = props
    const accounts = props.trustedAccounts ?? [cdk.Stack.of(this).account]
    const context: EndpointScope = { scope: this, vpc: this.vpc, subnets: this.subnets, accounts }
    if (props.existing === undefined) addGatewayEndpoints(context)
    this.authorityEndpointId =
      interfaceEndpoints || authorityEndpoint
        ? addInterfaceEndpoints(context, this.#makeEndpointGroup(), { interfaceEndpoints, authorityEndpoint })
        : null
    if (props.flowLogs !== false && props.existing === undefined) this.#logFlows(props)
  }

  #makeVpc(props: SallyportNetworkProps) {
    const zones = props.availabilityZones ?? cdk.Stack.of(this).availabilityZones.slice(0, 3)
    const natGateways = props.natPerZone === true ? zones.length : 1
    const given = props.egressAllocationIds
    if (given !== undefined && given.length !== natGateways) {
      throw new Error(`expected an elastic IP for each NAT gateway: ${natGateways}, got ${given.length}`)
    }
    const eips = given === undefined ? this.#makeAddresses(natGateways, props) : []
    const provider = ec2.NatProvider.gateway({
      eipAllocationIds: [...(given ?? eips.map((eip) => eip.attrAllocationId))],
    })
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(this.cidr),
      availabilityZones: [...zones],
      natGateways,
      natGatewayProvider: provider,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        // NAT gateways alone: nothing of ours ever gets a public address.
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 26, mapPublicIpOnLaunch: false },
        { name: 'Private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
      ],
    })
    const natGatewayIds = provider.configuredGateways.map(({ gatewayId }) => gatewayId)
    return { vpc, natGatewayIds, addresses: eips.map((eip) => eip.attrPublicIp) }
  }

  #makeAddresses(count: number, { removalPolicy }: SallyportNetworkProps): readonly ec2.CfnEIP[] {
    return Array.from({ length: count }, (_, index) => {
      const eip = new ec2.CfnEIP(this, `Egress${index + 1}`, { domain: 'vpc' })
      eip.applyRemovalPolicy(removalPolicy ?? cdk.RemovalPolicy.RETAIN)
      return eip
    })
  }

  #importVpc(existing: ExistingVpc | undefined): ec2.IVpc {
    if (existing === undefined) throw new Error('no VPC was made or named')
    return ec2.Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId: existing.vpcId,
      vpcCidrBlock: existing.cidr,
      availabilityZones: [...existing.availabilityZones],
      privateSubnetIds: [...existing.privateSubnetIds],
      privateSubnetRouteTableIds: [...existing.privateSubnetRouteTableIds],
    })
  }

  #makeEndpointGroup(): ec2.SecurityGroup {
    const group = new ec2.SecurityGroup(this, 'Endpoints', {
      vpc: this.vpc,
      description: 'AWS services by endpoint',
      // An endpoint answers; it never calls.
      allowAllOutbound: false,
    })
    group.addIngressRule(ec2.Peer.ipv4(this.cidr), ec2.Port.tcp(443), 'AWS services by endpoint')
    return group
  }

  #logFlows({ logRetention, encryptionKey }: SallyportNetworkProps): void {
    const logGroup = new logs.LogGroup(this, 'Flows', {
      retention: logRetention ?? logs.RetentionDays.THREE_MONTHS,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
    })
    this.vpc.addFlowLog('FlowLog', {
      destination: ec2.FlowLogDestination.toCloudWatchLogs(logGroup),
      trafficType: ec2.FlowLogTrafficType.ALL,
    })
  }
}
