// VPC endpoints with policies: without one, whoever is inside could carry data out to any account by them, past the gateway.
import * as cdk from 'aws-cdk-lib'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as iam from 'aws-cdk-lib/aws-iam'
import type { Construct } from 'constructs'

export interface EndpointScope {
  readonly scope: Construct
  readonly vpc: ec2.IVpc
  readonly subnets: ec2.SubnetSelection
  readonly accounts: readonly string[]
}

/** What a gateway calls. An HTTP API has no endpoint of its own; ECS's agent is outside the VPC on Fargate. */
const SERVICES = {
  Ecr: ec2.InterfaceVpcEndpointAwsService.ECR,
  EcrDocker: ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
  Logs: ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
  SecretsManager: ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  Kms: ec2.InterfaceVpcEndpointAwsService.KMS,
  Sts: ec2.InterfaceVpcEndpointAwsService.STS,
  AppConfigData: ec2.InterfaceVpcEndpointAwsService.APPCONFIGDATA,
} as const

/** Our accounts' principals, and for what knows an owner, our accounts' resources. */
function ours(accounts: readonly string[], resources: boolean): iam.PolicyStatement {
  return new iam.PolicyStatement({
    principals: [new iam.AnyPrincipal()],
    actions: ['*'],
    resources: ['*'],
    conditions: {
      StringEquals: {
        'aws:PrincipalAccount': [...accounts],
        ...(resources ? { 'aws:ResourceAccount': [...accounts] } : {}),
      },
    },
  })
}

/** S3 and DynamoDB: they cost nothing, and keep image layers off the NAT gateway. */
export function addGatewayEndpoints({ scope, vpc, subnets, accounts }: EndpointScope): void {
  const { region, partition } = cdk.Stack.of(scope)
  const s3 = vpc.addGatewayEndpoint('S3', {
    service: ec2.GatewayVpcEndpointAwsService.S3,
    subnets: [subnets],
  })
  s3.addToPolicy(ours(accounts, true))
  // The layers of every ECR image are in buckets of AWS's own.
  s3.addToPolicy(
    new iam.PolicyStatement({
      principals: [new iam.AnyPrincipal()],
      actions: ['s3:GetObject'],
      resources: [`arn:${partition}:s3:::prod-${region}-starport-layer-bucket/*`],
    }),
  )
  const dynamodb = vpc.addGatewayEndpoint('DynamoDb', {
    service: ec2.GatewayVpcEndpointAwsService.DYNAMODB,
    subnets: [subnets],
  })
  dynamodb.addToPolicy(ours(accounts, true))
}

/** @returns the id of the endpoint to API Gateway; null where none is wanted */
export function addInterfaceEndpoints(
  { scope, vpc, subnets, accounts }: EndpointScope,
  group: ec2.ISecurityGroup,
  wanted: { readonly interfaceEndpoints: boolean; readonly authorityEndpoint: boolean },
): string | null {
  const add = (id: string, service: ec2.IInterfaceVpcEndpointService, owner: boolean) => {
    // `open` would write a rule on the VPC's own value of its network, which no check at synth can judge.
    const endpoint = new ec2.InterfaceVpcEndpoint(scope, id, {
      ...{ vpc, service, subnets, open: false },
      securityGroups: [group],
    })
    endpoint.addToPolicy(ours(accounts, owner))
    return endpoint
  }
  if (wanted.interfaceEndpoints) {
    // GetCallerIdentity and GetWebIdentityToken are asked of no resource.
    for (const [id, service] of Object.entries(SERVICES)) add(id, service, id !== 'Sts')
  }
  return wanted.authorityEndpoint ? addAuthorityEndpoint({ scope, vpc, subnets }, group) : null
}

/** Calls to the authority are not signed, since a proof is in them: the API's account is all there is to go by. */
function addAuthorityEndpoint(
  { scope, vpc, subnets }: Omit<EndpointScope, 'accounts'>,
  group: ec2.ISecurityGroup,
): string {
  const { partition, region, account } = cdk.Stack.of(scope)
  const service = ec2.InterfaceVpcEndpointAwsService.APIGATEWAY
  const endpoint = new ec2.InterfaceVpcEndpoint(scope, 'ExecuteApi', {
    ...{ vpc, service, subnets, open: false },
    // With it the names of all public APIs would lead here, and answer 403 to everybody in the VPC; the authority is called by
    // the endpoint's own name, which needs none.
    privateDnsEnabled: false,
    securityGroups: [group],
  })
  endpoint.addToPolicy(
    new iam.PolicyStatement({
      principals: [new iam.AnyPrincipal()],
      actions: ['execute-api:Invoke'],
      resources: [`arn:${partition}:execute-api:${region}:${account}:*`],
    }),
  )
  return endpoint.vpcEndpointId
}
