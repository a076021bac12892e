// A configuration in AppConfig and its deployments. The first one goes to all at once, since nobody has anything yet;
// how later ones go is said by the strategy. CloudFormation's own deployment resource knows no such difference.
import * as cdk from 'aws-cdk-lib'
import * as appconfig from 'aws-cdk-lib/aws-appconfig'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as cr from 'aws-cdk-lib/custom-resources'
import { Construct, type IDependable } from 'constructs'
import type { ConfigurationNames } from './names.ts'

export interface HostedProps {
  readonly names: ConfigurationNames
  readonly description: string
  readonly content: string
  readonly contentType: string
  readonly monitors?: appconfig.Monitor[]
  readonly validators?: appconfig.IValidator[]
  /** What a deployment relies on, and what nothing else would wait for, such as permissions to call a validator. */
  readonly executeAfter?: readonly IDependable[]
  /** Null: the stack deploys it once, and never again what others have deployed since. */
  readonly strategy: appconfig.RolloutStrategy | null
}

/** Of AWS's own: at once, without baking. */
const ALL_AT_ONCE = 'AppConfig.AllAtOnce'

export class Hosted extends Construct {
  readonly application: appconfig.Application
  readonly environment: appconfig.Environment
  readonly profile: appconfig.HostedConfiguration
  /** Done when the first version is deployed. */
  readonly deployment: cr.AwsCustomResource
  readonly strategyId: string

  constructor(scope: Construct, id: string, props: HostedProps) {
    super(scope, id)
    const { names, description, monitors, validators } = props
    this.application = new appconfig.Application(this, 'Application', {
      applicationName: names.application,
      description,
    })
    this.environment = new appconfig.Environment(this, 'Environment', {
      application: this.application,
      environmentName: names.environment,
      ...(monitors === undefined ? {} : { monitors }),
    })
    this.strategyId = this.#makeStrategy(props.strategy)
    this.profile = new appconfig.HostedConfiguration(this, 'Profile', {
      // Named because CDK would make one of its own, which nothing uses.
      deploymentStrategy: appconfig.DeploymentStrategy.fromDeploymentStrategyId(
        this,
        'Named',
        appconfig.DeploymentStrategyId.fromString(this.strategyId),
      ),
      application: this.application,
      name: names.profile,
      description,
      content: appconfig.ConfigurationContent.fromInline(props.content, props.contentType),
      ...(validators === undefined ? {} : { validators }),
    })
    this.deployment = this.#deploy(props.strategy !== null)
    this.deployment.node.addDependency(...(props.executeAfter ?? []))
  }

  /** To read it as the gateway does. */
  grantRead(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['appconfig:StartConfigurationSession', 'appconfig:GetLatestConfiguration'],
      resourceArns: [
        `${this.environment.environmentArn}/configuration/${this.profile.configurationProfileId}`,
      ],
    })
  }

  /** To write a new version and deploy it. */
  grantDeploy(grantee: iam.IGrantable): void {
    iam.Grant.addToPrincipal({
      grantee,
      actions: [
        'appconfig:CreateHostedConfigurationVersion',
        'appconfig:GetHostedConfigurationVersion',
        'appconfig:ListHostedConfigurationVersions',
      ],
      resourceArns: [this.profile.configurationProfileArn, `${this.profile.configurationProfileArn}/*`],
    })
    grantee.grantPrincipal.addToPrincipalPolicy(this.#startStatement())
  }

  #makeStrategy(strategy: appconfig.RolloutStrategy | null): string {
    if (strategy === null) return ALL_AT_ONCE
    return new appconfig.DeploymentStrategy(this, 'Strategy', { rolloutStrategy: strategy })
      .deploymentStrategyId
  }

  #startStatement(): iam.PolicyStatement {
    const { partition, region, account } = cdk.Stack.of(this)
    const strategy = (id: string) =>
      `arn:${partition}:appconfig:${region}:${account}:deploymentstrategy/${id}`
    return new iam.PolicyStatement({
      actions: ['appconfig:StartDeployment', 'appconfig:GetDeployment'],
      resources: [
        this.application.applicationArn,
        this.environment.environmentArn,
        // A deployment is numbered only when it is made.
        `${this.environment.environmentArn}/deployment/*`,
        this.profile.configurationProfileArn,
        strategy(this.strategyId),
        strategy(ALL_AT_ONCE),
      ],
    })
  }

  #deploy(again: boolean): cr.AwsCustomResource {
    const start = (strategy: string): cr.AwsSdkCall => ({
      service: 'AppConfig',
      action: 'startDeployment',
      parameters: {
        ApplicationId: this.application.applicationId,
        EnvironmentId: this.environment.environmentId,
        ConfigurationProfileId: this.profile.configurationProfileId,
        ConfigurationVersion: this.profile.versionNumber,
        DeploymentStrategyId: strategy,
      },
      physicalResourceId: cr.PhysicalResourceId.of(`${this.node.addr}-deployment`),
      outputPaths: ['DeploymentNumber'],
    })
    return new cr.AwsCustomResource(this, 'Deployment', {
      resourceType: 'Custom::AppConfigDeployment',
      onCreate: start(ALL_AT_ONCE),
      ...(again ? { onUpdate: start(this.strategyId) } : {}),
      installLatestAwsSdk: false,
      policy: cr.AwsCustomResourcePolicy.fromStatements([this.#startStatement()]),
    })
  }
}
