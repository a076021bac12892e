// One gateway for several accounts: an endpoint service here, and in each consumer's account an endpoint to it, with the
// gateway's name in a private zone of its own, since clients must call the gateway as its certificate does.
import * as cdk from 'aws-cdk-lib'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as route53 from 'aws-cdk-lib/aws-route53'
import { InterfaceVpcEndpointTarget } from 'aws-cdk-lib/aws-route53-targets'
import type { Construct } from 'constructs'
import { addDeployment, type Deployment } from '../../infra/app.ts'
import { type FindAsset, findBuilt } from '../../infra/assets.ts'
import { readSettings } from '../../infra/settings.ts'

const REGION = 'eu-west-1'
const CONSUMER = '444455556666'

/** In the consumer's account, deployed when the provider's stack has said its EndpointServiceName. */
export class ConsumerStack extends cdk.Stack {
  constructor(scope: Construct, id: string, serviceName: string) {
    super(scope, id, { env: { account: CONSUMER, region: REGION } })
    const cidr = '10.40.0.0/16'
    const vpc = ec2.Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId: 'vpc-0f1e2d3c4b5a69780',
      vpcCidrBlock: cidr,
      availabilityZones: ['eu-west-1a', 'eu-west-1b'],
      privateSubnetIds: ['subnet-0f1e2d3c4b5a69780', 'subnet-0f1e2d3c4b5a69781'],
      privateSubnetRouteTableIds: ['rtb-0f1e2d3c4b5a69780', 'rtb-0f1e2d3c4b5a69781'],
    })
    const securityGroup = new ec2.SecurityGroup(this, 'Gateway', { vpc, allowAllOutbound: false })
    securityGroup.addIngressRule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(8443), 'workloads')
    const endpoint = new ec2.InterfaceVpcEndpoint(this, 'Endpoint', {
      vpc,
      service: new ec2.InterfaceVpcEndpointService(serviceName, 8443),
      privateDnsEnabled: false,
      open: false,
      securityGroups: [securityGroup],
    })
    const zone = new route53.PrivateHostedZone(this, 'Zone', { vpc, zoneName: 'sallyport.internal' })
    new route53.ARecord(this, 'Name', {
      zone,
      recordName: 'gateway.sallyport.internal',
      target: route53.RecordTarget.fromAlias(new InterfaceVpcEndpointTarget(endpoint)),
    })
  }
}

export function build(app: cdk.App, findAsset: FindAsset = findBuilt): Deployment {
  const settings = readSettings('privatelink', {
    name: 'privatelink',
    stage: 'dev',
    account: '111122223333',
    region: REGION,
    gateway: {
      privateLink: { principals: [`arn:aws:iam::${CONSUMER}:root`], consumerCidrs: ['10.40.0.0/16'] },
    },
  })
  const serviceName: unknown = app.node.tryGetContext('endpointServiceName')
  const named = typeof serviceName === 'string' ? serviceName : `com.amazonaws.vpce.${REGION}.vpce-svc-0`
  new ConsumerStack(app, 'privatelink-consumer', named)
  return addDeployment(app, settings, findAsset)
}

if (import.meta.main) build(new cdk.App())
