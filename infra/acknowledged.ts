// What the rule packs of cdk-nag find in a deployment and we leave as it is, each at the narrowest place and with the
// reason. Whatever else they find fails the synth.
import * as cdk from 'aws-cdk-lib'
import { AwsSolutionsChecks, NIST80053R5Checks } from 'cdk-nag'
import type { IConstruct } from 'constructs'
import type { Deployment } from './app.ts'
import type { Settings } from './settings.ts'
import { partitionOf } from './stack.ts'

export function addRulePacks(app: cdk.App): void {
  cdk.Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new NIST80053R5Checks(app))
}

/** Reason by rule. */
type Reasons = Readonly<Record<string, string>>

const nist = (rule: string) => `NIST.800.53.R5::NIST.800.53.R5-${rule}`
const solutions = (rule: string) => `AwsSolutions::AwsSolutions-${rule}`

function acknowledge(scope: IConstruct, reasons: Reasons): void {
  for (const [id, reason] of Object.entries(reasons)) cdk.Validations.of(scope).acknowledge({ id, reason })
}

const EVERYWHERE: Reasons = {
  [nist('IAMNoInlinePolicy')]:
    'a policy of one role, that goes with it, is narrower than one that could be attached elsewhere',
  [nist('LambdaConcurrency')]: 'a new account has ten in all; a setting reserves some',
  [nist('LambdaDLQ')]: 'no function is called by events: who calls waits for the answer',
  [nist('LambdaInsideVPC')]:
    'in a VPC they would need NAT to reach what they call; none of them reaches into one',
}

const CUSTOM_RESOURCES: Reasons = {
  [solutions('IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]')]:
    "CDK's own function that deploys configurations: the policy lets it log",
  [nist('CloudWatchLogGroupEncrypted')]: "the log of CDK's own function: numbers of deployments",
}

function acknowledgeNetwork({ network }: Deployment): void {
  acknowledge(network, {
    [nist('VPCDefaultSecurityGroupClosed')]:
      'nothing is in it; closing it takes a function that may change security groups',
    [nist('VPCNoUnrestrictedRouteToIGW')]: 'the public subnets hold NAT gateways alone',
  })
}

function acknowledgeIdentity({ identity }: Deployment): void {
  acknowledge(identity.identity.publicApi, {
    [solutions('APIG4')]:
      'the proof in each request is the authorization, judged by the function (docs/authority.md)',
  })
  const { privateApi, tables } = identity.identity
  const { partition, region, account } = identity
  if (privateApi !== null) {
    const logGroups = `arn:${partition}:logs:${region}:${account}:log-group:*`
    acknowledge(privateApi, {
      [solutions(`IAM5[Resource::${logGroups}]`)]:
        'a setting of the account, by which every REST API of the region writes its log',
      [solutions('APIG2')]: 'the function validates requests, and says what is wrong with them',
      [solutions('APIG3')]: 'a private API: no web ACL sees what comes by a VPC endpoint before its policy',
      [solutions('APIG4')]: 'the proof in each request is the authorization, judged by the function',
      [solutions('APIG6')]: 'access logs hold every request; execution logs would hold proofs',
      [solutions('COG4')]: 'workloads have no user pool: the proof is the authorization',
      [nist('APIGWAssociatedWithWAF')]: 'a private API, called by named VPC endpoints alone',
      [nist('APIGWCacheEnabledAndEncrypted')]: 'nothing of an authority may be cached by its caller',
      [nist('APIGWExecutionLoggingEnabled')]:
        'execution logs would hold proofs; access logs hold every request',
      [nist('APIGWSSLEnabled')]: 'the back end is a function, which no client certificate reaches',
      [nist('APIGWXrayEnabled')]: 'traces would leave the account’s audit boundary for no gain',
    })
  }
  acknowledge(tables, {
    [nist('DynamoDBInBackupPlan')]: 'point-in-time recovery holds 35 days of both tables',
    [nist('DynamoDBAutoScalingEnabled')]: 'paid by request: there is no capacity to scale',
  })
}

function acknowledgeConfiguration({ configuration }: Deployment): void {
  acknowledge(configuration, CUSTOM_RESOURCES)
  const { gateway, revocations } = configuration.configuration
  for (const hosted of [gateway, revocations]) {
    const application = cdk.Stack.of(hosted).getLogicalId(
      hosted.application.node.defaultChild as cdk.CfnElement,
    )
    const environment = cdk.Stack.of(hosted).getLogicalId(
      hosted.environment.node.defaultChild as cdk.CfnElement,
    )
    const { region, account } = configuration.settings
    const arn = `arn:${partitionOf(region)}:appconfig:${region}:${account}:application/<${application}>/environment/<${environment}>/deployment/*`
    acknowledge(hosted, {
      [solutions(`IAM5[Resource::${arn}]`)]: 'a deployment is numbered only when it is made',
    })
  }
  acknowledge(configuration.configuration, {
    [solutions('IAM5[Resource::*]')]: 'cloudwatch:DescribeAlarms is asked of no resource',
  })
}

function acknowledgeGateway({ gateway }: Deployment, settings: Settings): void {
  acknowledge(gateway.gateway, {
    [solutions('ECS2')]: 'the variables name places; secrets are read by the gateway itself',
    [solutions('ELB2')]: 'a TCP listener has no access log; the audit record says more',
    [solutions('IAM5[Resource::*]')]:
      'ecr:GetAuthorizationToken, and describing balancers for blue/green, are asked of no resource',
    [nist('ELBLoggingEnabled')]: 'a TCP listener has no access log; the audit record says more',
    [nist('ELBv2ACMCertificateRequired')]:
      'TLS ends in the gateway: only it may see the client’s certificate',
    ...(settings.retain
      ? {}
      : { [nist('ELBDeletionProtectionEnabled')]: 'settings say that nothing is retained' }),
  })
}

function acknowledgeEvidence({ gateway, observability }: Deployment): void {
  const { evidence } = gateway.gateway
  const { archive } = observability.observability
  if (evidence === null || archive === null) return
  const bucket = cdk.Stack.of(evidence).getLogicalId(evidence.bucket.node.defaultChild as cdk.CfnElement)
  const notThereYet = 'objects that are not there yet'
  acknowledge(gateway, { [solutions(`IAM5[Resource::<${bucket}.Arn>/checkpoints/*]`)]: notThereYet })
  // In another stack its ARN has the name of the export, which is made with the reference and not named by us.
  const exported = gateway.resolve(gateway.exportValue(evidence.bucket.bucketArn)) as Record<string, string>
  for (const folder of ['audit', 'failed']) {
    acknowledge(archive, {
      [solutions(`IAM5[Resource::${exported['Fn::ImportValue']}/${folder}/*]`)]: notThereYet,
    })
  }
  acknowledge(evidence, {
    [solutions('S1')]: 'its two writers are logged; readers are in CloudTrail data events where wanted',
    [nist('S3BucketLoggingEnabled')]: 'its two writers are logged',
    [nist('S3BucketReplicationEnabled')]: 'a second copy in another region is the account’s to decide',
  })
}

export function acknowledgeFindings(deployment: Deployment, settings: Settings): void {
  const { network, identity, configuration, gateway, observability } = deployment
  const stacks = [network, identity, configuration, gateway, observability]
  for (const stack of stacks) {
    acknowledge(stack, EVERYWHERE)
    if (settings.observability.alarmTopicArn !== undefined) continue
    acknowledge(stack, { [nist('CloudWatchAlarmAction')]: 'settings name no topic' })
  }
  acknowledgeNetwork(deployment)
  acknowledgeIdentity(deployment)
  acknowledgeConfiguration(deployment)
  acknowledgeGateway(deployment, settings)
  acknowledgeEvidence(deployment)
}
