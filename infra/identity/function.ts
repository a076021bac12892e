// A function of Sallyport's: ARM64, Node 24, a log group of its own whose name and life are known, and a role that may
// write into it and no more.
import * as cdk from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import * as logs from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'

export interface SallyportFunctionProps {
  readonly description: string
  /** The archive: what `npm run build` made. */
  readonly code: lambda.Code
  /** Such as `identity.handler`. */
  readonly handler: string
  readonly environment: Readonly<Record<string, string>>
  readonly timeout: cdk.Duration
  /** @default 512 */
  readonly memorySizeMiB?: number
  /** @default - none is reserved */
  readonly reservedConcurrency?: number | null
  readonly layers?: lambda.ILayerVersion[]
  /** @default - CloudFormation's */
  readonly roleName?: string
  /** @default logs.RetentionDays.THREE_MONTHS */
  readonly logRetention?: logs.RetentionDays
  /** @default - CloudWatch Logs' own */
  readonly encryptionKey?: kms.IKey
}

export class SallyportFunction extends Construct {
  readonly function: lambda.Function
  readonly logGroup: logs.LogGroup
  readonly role: iam.Role

  constructor(scope: Construct, id: string, props: SallyportFunctionProps) {
    super(scope, id)
    const { encryptionKey, reservedConcurrency } = props
    this.logGroup = new logs.LogGroup(this, 'Log', {
      retention: props.logRetention ?? logs.RetentionDays.THREE_MONTHS,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
    })
    // Not the managed policy, which may write into any log group there is.
    this.role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      ...(props.roleName === undefined ? {} : { roleName: props.roleName }),
    })
    this.logGroup.grantWrite(this.role)
    this.function = new lambda.Function(this, 'Function', {
      description: props.description,
      code: props.code,
      handler: props.handler,
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      memorySize: props.memorySizeMiB ?? 512,
      timeout: props.timeout,
      environment: { ...props.environment },
      role: this.role,
      logGroup: this.logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      ...(props.layers === undefined ? {} : { layers: props.layers }),
      ...(typeof reservedConcurrency === 'number'
        ? { reservedConcurrentExecutions: reservedConcurrency }
        : {}),
      ...(encryptionKey === undefined ? {} : { environmentEncryption: encryptionKey }),
    })
  }
}
