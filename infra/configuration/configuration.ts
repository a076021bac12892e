// Where the gateway's configuration comes from: AppConfig, with a function that judges it first, a roll-out in steps that
// alarms undo, and a separate road for revocations, which nothing undoes and nothing blocks.
import * as cdk from 'aws-cdk-lib'
import * as appconfig from 'aws-cdk-lib/aws-appconfig'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as kms from 'aws-cdk-lib/aws-kms'
import type * as lambda from 'aws-cdk-lib/aws-lambda'
import { LayerVersion } from 'aws-cdk-lib/aws-lambda'
import type * as logs from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import { SallyportFunction } from '../identity/function.ts'
import { Hosted } from './hosted.ts'
import { configurationNames, metricNamespace, revocationNames, sourceOf } from './names.ts'

export interface SallyportConfigurationProps {
  /** Of the deployment: names of AppConfig, metrics and logs begin with it. */
  readonly deploymentName: string
  /** The bundle of gateway.yaml and policy. */
  readonly bundle: string
  readonly validatorCode: lambda.Code
  /** A folder with deployed.json in it: what the deployment gives. */
  readonly deployed: lambda.Code
  /** @default - 10 minutes in steps of 25 per cent, then 10 minutes to see */
  readonly rollout?: {
    readonly duration: cdk.Duration
    readonly growthPercent: number
    readonly bake: cdk.Duration
  }
  /**
   * A roll-out is undone where a larger share of a minute's attempts is refused.
   * @default 50
   */
  readonly refusedPercent?: number
  /** @default - CloudWatch Logs' own */
  readonly encryptionKey?: kms.IKey
  /** @default logs.RetentionDays.THREE_MONTHS */
  readonly logRetention?: logs.RetentionDays
}

/** Below it a share says nothing. */
const FEW_ATTEMPTS = 20

export class SallyportConfiguration extends Construct {
  readonly validator: SallyportFunction
  readonly gateway: Hosted
  readonly revocations: Hosted
  /** Undoes a roll-out. */
  readonly refusedAlarm: cloudwatch.Alarm
  /** What `sallyport gateway --config` takes. */
  readonly source: string
  readonly revocationsSource: string
  readonly #namespace: string

  constructor(scope: Construct, id: string, props: SallyportConfigurationProps) {
    super(scope, id)
    const { deploymentName, refusedPercent = 50 } = props
    const [names, revocations] = [configurationNames(deploymentName), revocationNames(deploymentName)]
    this.source = sourceOf(names)
    this.revocationsSource = sourceOf(revocations)
    this.#namespace = metricNamespace(deploymentName)
    this.validator = this.#makeValidator(props)
    this.refusedAlarm = this.#makeAlarm(refusedPercent)
    const { duration, growthPercent, bake } = props.rollout ?? {
      duration: cdk.Duration.minutes(10),
      growthPercent: 25,
      bake: cdk.Duration.minutes(10),
    }
    const monitorRole = this.#makeAlarmRole()
    this.gateway = new Hosted(this, 'Gateway', {
      executeAfter: [this.validator, monitorRole],
      names,
      description: 'gateway.yaml and policy of Sallyport',
      content: props.bundle,
      contentType: 'application/json',
      validators: [appconfig.LambdaValidator.fromFunction(this.validator.function)],
      monitors: [appconfig.Monitor.fromCloudWatchAlarm(this.refusedAlarm, monitorRole)],
      strategy: appconfig.RolloutStrategy.linear({
        deploymentDuration: duration,
        growthFactor: growthPercent,
        finalBakeTime: bake,
      }),
    })
    this.revocations = new Hosted(this, 'Revocations', {
      names: revocations,
      description: 'Who may not connect any more; no roll-back of policy undoes it',
      content: '[]\n',
      contentType: 'application/x-yaml',
      strategy: null,
    })
  }

  /** Lets the gateway read both. */
  grantRead(grantee: iam.IGrantable): void {
    this.gateway.grantRead(grantee)
    this.revocations.grantRead(grantee)
  }

  /** Lets an operator revoke, and change nothing else. */
  grantRevoke(grantee: iam.IGrantable): void {
    this.revocations.grantDeploy(grantee)
  }

  /** `Attempts`, `Refused` and the others that are counted in audit records. */
  metric(metricName: string, options: cloudwatch.MetricOptions = {}): cloudwatch.Metric {
    const period = cdk.Duration.minutes(1)
    return new cloudwatch.Metric({
      namespace: this.#namespace,
      metricName,
      statistic: 'Sum',
      period,
      ...options,
    })
  }

  #makeValidator(props: SallyportConfigurationProps): SallyportFunction {
    const deployed = new LayerVersion(this, 'Deployed', {
      description: 'What the deployment gives: ports, secrets, resolvers',
      code: props.deployed,
    })
    return new SallyportFunction(this, 'Validator', {
      description: 'Judges a configuration of Sallyport before it is handed out',
      code: props.validatorCode,
      handler: 'validate-config.handler',
      // AppConfig waits for 15 seconds at most.
      timeout: cdk.Duration.seconds(15),
      memorySizeMiB: 1024,
      layers: [deployed],
      environment: { SALLYPORT_DEPLOYED: '/opt/deployed.json' },
      ...(props.encryptionKey === undefined ? {} : { encryptionKey: props.encryptionKey }),
      ...(props.logRetention === undefined ? {} : { logRetention: props.logRetention }),
    })
  }

  /** Of metrics by their names: the gateway that makes them is deployed later. */
  #makeAlarm(refusedPercent: number): cloudwatch.Alarm {
    const share = new cloudwatch.MathExpression({
      expression: `IF(attempts >= ${FEW_ATTEMPTS}, 100 * refused / attempts, 0)`,
      usingMetrics: { attempts: this.metric('Attempts'), refused: this.metric('Refused') },
      period: cdk.Duration.minutes(1),
      label: 'refused, per cent',
    })
    return share.createAlarm(this, 'RefusedTooOften', {
      alarmDescription:
        'Much of what is asked for is refused: a roll-out of configuration is undone. docs/runbooks.md#refusedtoooften',
      threshold: refusedPercent,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: 2,
      datapointsToAlarm: 2,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    })
  }

  /** By it AppConfig looks at the alarm. */
  #makeAlarmRole(): iam.Role {
    const role = new iam.Role(this, 'MonitorRole', {
      assumedBy: new iam.ServicePrincipal('appconfig.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': cdk.Stack.of(this).account } },
      }),
    })
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['cloudwatch:DescribeAlarms'],
        // Listing alarms is asked of none of them: IAM knows no narrower resource for it.
        resources: ['*'],
      }),
    )
    return role
  }
}
