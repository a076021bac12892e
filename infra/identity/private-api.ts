// The authority's API where the internet has no way to it: by the VPC endpoints that its policy names, and by no other.
import * as cdk from 'aws-cdk-lib'
import * as apigateway from 'aws-cdk-lib/aws-apigateway'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as lambda from 'aws-cdk-lib/aws-lambda'
import { Construct } from 'constructs'
import { ACCESS_LOG_FIELDS, createAccessLog, type LogOptions } from './access-log.ts'

export interface PrivateApiProps extends LogOptions {
  /** Ids of execute-api endpoints, one at least. */
  readonly vpcEndpointIds: readonly string[]
  readonly throttle: { readonly rate: number; readonly burst: number }
  readonly handler: lambda.IFunction
}

const STAGE = 'authority'

export class PrivateApi extends Construct {
  readonly api: apigateway.RestApi
  /** By the first endpoint, whose name resolves without private DNS too. */
  readonly url: string

  constructor(scope: Construct, id: string, { vpcEndpointIds, throttle, handler, ...log }: PrivateApiProps) {
    super(scope, id)
    const [first] = vpcEndpointIds
    if (first === undefined) throw new Error('expected the id of a VPC endpoint, got none')
    this.api = new apigateway.RestApi(this, 'Api', {
      description: 'The authority of Sallyport, by VPC endpoints alone',
      endpointConfiguration: {
        types: [apigateway.EndpointType.PRIVATE],
        vpcEndpoints: vpcEndpointIds.map((endpoint, index) =>
          ec2.InterfaceVpcEndpoint.fromInterfaceVpcEndpointAttributes(this, `Endpoint${index + 1}`, {
            vpcEndpointId: endpoint,
            port: 443,
          }),
        ),
      },
      policy: createPolicy(vpcEndpointIds),
      // Ours, below: CDK's would bring a managed policy.
      cloudWatchRole: false,
      deployOptions: {
        stageName: STAGE,
        throttlingRateLimit: throttle.rate,
        throttlingBurstLimit: throttle.burst,
        metricsEnabled: true,
        accessLogDestination: new apigateway.LogGroupLogDestination(createAccessLog(this, 'AccessLog', log)),
        accessLogFormat: apigateway.AccessLogFormat.custom(ACCESS_LOG_FIELDS),
      },
    })
    this.api.deploymentStage.node.addDependency(allowLogs(this))
    this.api.root.addProxy({ anyMethod: true, defaultIntegration: new apigateway.LambdaIntegration(handler) })
    const { region, urlSuffix } = cdk.Stack.of(this)
    this.url = `https://${this.api.restApiId}-${first}.execute-api.${region}.${urlSuffix}/${STAGE}`
  }
}

/**
 * REST APIs write access logs by a role that is a setting of the account in this region: where none is set a stage with logs
 * cannot be made. It stays when the stack goes, since other APIs of the account may write by it by then.
 */
function allowLogs(scope: Construct): apigateway.CfnAccount {
  const { partition, region, account } = cdk.Stack.of(scope)
  const role = new iam.Role(scope, 'LogRole', {
    description: 'API Gateway writes logs of the REST APIs of this account and region by it',
    assumedBy: new iam.ServicePrincipal('apigateway.amazonaws.com'),
  })
  role.applyRemovalPolicy(cdk.RemovalPolicy.RETAIN)
  const policy = new iam.Policy(scope, 'LogPolicy', {
    roles: [role],
    statements: [
      new iam.PolicyStatement({
        // Those of AmazonAPIGatewayPushToCloudWatchLogs, within this account and region.
        actions: [
          'logs:CreateLogGroup',
          'logs:CreateLogStream',
          'logs:DescribeLogGroups',
          'logs:DescribeLogStreams',
          'logs:PutLogEvents',
          'logs:GetLogEvents',
          'logs:FilterLogEvents',
        ],
        resources: [`arn:${partition}:logs:${region}:${account}:log-group:*`],
      }),
    ],
  })
  ;(policy.node.defaultChild as cdk.CfnResource).applyRemovalPolicy(cdk.RemovalPolicy.RETAIN)
  const setting = new apigateway.CfnAccount(scope, 'LogSetting', { cloudWatchRoleArn: role.roleArn })
  setting.applyRemovalPolicy(cdk.RemovalPolicy.RETAIN)
  // API Gateway tries the role when it is set.
  setting.node.addDependency(policy)
  return setting
}

function createPolicy(vpcEndpointIds: readonly string[]): iam.PolicyDocument {
  const common = {
    principals: [new iam.AnyPrincipal()],
    actions: ['execute-api:Invoke'],
    // API Gateway reads it as: every method of this API.
    resources: ['execute-api:/*'],
  }
  const elsewhere = { StringNotEquals: { 'aws:SourceVpce': [...vpcEndpointIds] } }
  return new iam.PolicyDocument({
    statements: [
      new iam.PolicyStatement({ ...common, effect: iam.Effect.DENY, conditions: elsewhere }),
      new iam.PolicyStatement(common),
    ],
  })
}
