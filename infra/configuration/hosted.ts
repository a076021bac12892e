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
  /**
   * Null: the stack deploys it once, and never again what others have deployed since; they deploy to all at once, by the
   * strategy that is named as the application.
   */
  readonly strategy: appconfig.RolloutStrategy | null
}

/** Of AWS's own: at once, and then "baking" for ten minutes, in which no other deployment may begin. */
const ALL_AT_ONCE = 'AppConfig.AllAtOnce'
/** At once and done: somebody else may have to be revoked a minute later. */
const AT_ONCE_AND_DONE = appconfig.RolloutStrategy.linear({
  growthFactor: 100,
  deploymentDuration: cdk.Duration.minutes(0),
  finalBakeTime: cdk.Duration.minutes(0),
})

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
    this.strategyId = new appconfig.DeploymentStrategy(this, 'Strategy', {
      rolloutStrategy: props.strategy ?? AT_ONCE_AND_DONE,
      ...(props.strategy === null ? { deploymentStrategyName: names.application } : {}),
    }).deploymentStrategyId
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

  /** To write a new version and deploy it, and what is asked to find both by their names. */
  grantDeploy(grantee: iam.IGrantable): void {
    iam.Grant.addToPrincipal({
      grantee,
      actions: ['appconfig:ListApplications', 'appconfig:ListDeploymentStrategies'],
      // Asked of no resource.
      resourceArns: ['*'],
    })
    iam.Grant.addToPrincipal({
      grantee,
      actions: [
        'appconfig:ListEnvironments',
        'appconfig:ListConfigurationProfiles',
        'appconfig:ListDeployments',
      ],
      resourceArns: [this.application.applicationArn, this.environment.environmentArn],
    })
    iam.Grant.addToPrincipal({
      grantee,
      actions: [
        'appconfig:CreateHostedConfigurationVersion',
        'appconfig:GetHostedConfigurationVersion',
        'appconfig:ListHostedConfigurationVersions',
      ],
      resourceArns: [
        this.application.applicationArn,
        this.profile.configurationProfileArn,
        `${this.profile.configurationProfileArn}/*`,
      ],
    })
    grantee.grantPrincipal.addToPrincipalPolicy(this.#startStatement())
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
      onCreate: start(again ? ALL_AT_ONCE : this.strategyId),
      ...(again ? { onUpdate: start(this.strategyId) } : {}),
      installLatestAwsSdk: false,
      policy: cr.AwsCustomResourcePolicy.fromStatements([this.#startStatement()]),
    })
  }
}
