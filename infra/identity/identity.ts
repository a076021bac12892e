// The authority on AWS: its CA, its tables, its function and the way to it.
import * as cdk from 'aws-cdk-lib'
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import { Metric } from 'aws-cdk-lib/aws-cloudwatch'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as lambda from 'aws-cdk-lib/aws-lambda'
import type * as logs from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import { SallyportFunction } from './function.ts'
import { type AdoptedCa, IssuingSecret } from './issuing-secret.ts'
import { PrivateApi } from './private-api.ts'
import { type CustomDomain, PublicApi } from './public-api.ts'
import { AuthorityTables } from './tables.ts'

export interface SallyportIdentityProps {
  readonly trustDomain: string
  /**
   * Under which CloudWatch has the functions' counters. Two deployments in one account and region need two.
   * @default 'Sallyport'
   */
  readonly metricsNamespace?: string
  /** The folders that `npm run build` made. */
  readonly code: {
    readonly identity: lambda.Code
    readonly rotation: lambda.Code
    readonly birth: lambda.Code
  }
  /** A folder of identity.yaml and of what it names. */
  readonly configuration: lambda.Code
  /** DNS names of the gateway's certificate: what its clients call it. */
  readonly gatewayDnsNames: readonly string[]
  /**
   * CA and tables of an earlier deployment, which go on.
   * @default - a CA is born, and tables are made
   */
  readonly adopt?: AdoptedCa & { readonly replayTable: string; readonly issuancesTable: string }
  /**
   * Of the function that alone signs with the root keys: their policy names it, and they outlive it.
   * @default - CloudFormation's, by which no later deployment can go on with the CA
   */
  readonly rotationRoleName?: string
  /**
   * VPC endpoints of API Gateway, by which alone the API is called then; discovery and the keys of JWT-SVIDs stay public.
   * @default - the API is public
   */
  readonly vpcEndpointIds?: readonly string[]
  /** @default - the URL that API Gateway gives */
  readonly customDomain?: CustomDomain
  /** @default - 50 a second, 100 at once */
  readonly throttle?: { readonly rate: number; readonly burst: number }
  /** @default - none */
  readonly reservedConcurrency?: number
  /**
   * Of what cannot be made again: keys, secret, tables.
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: cdk.RemovalPolicy
  /** @default - keys of AWS's own */
  readonly encryptionKey?: kms.IKey
  /** @default logs.RetentionDays.THREE_MONTHS */
  readonly logRetention?: logs.RetentionDays
}

export class SallyportIdentity extends Construct {
  readonly issuing: IssuingSecret
  readonly tables: AuthorityTables
  readonly handler: SallyportFunction
  readonly publicApi: PublicApi
  readonly privateApi: PrivateApi | null
  /** `iss` of JWT-SVIDs, and the audience of proofs. */
  readonly issuer: string
  /** Where identities are asked for. */
  readonly authorityUrl: string
  readonly #metricsNamespace: string

  constructor(scope: Construct, id: string, props: SallyportIdentityProps) {
    super(scope, id)
    this.#metricsNamespace = props.metricsNamespace ?? 'Sallyport'
    const removalPolicy = props.removalPolicy ?? cdk.RemovalPolicy.RETAIN
    const retained = removalPolicy === cdk.RemovalPolicy.RETAIN
    const { encryptionKey, logRetention } = props
    const common = {
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
      ...(logRetention === undefined ? {} : { logRetention }),
    }
    this.issuing = new IssuingSecret(this, 'Issuing', {
      ...common,
      removalPolicy,
      trustDomain: props.trustDomain,
      metricsNamespace: this.#metricsNamespace,
      adopt: props.adopt,
      rotationRoleName: props.rotationRoleName,
      rotationCode: props.code.rotation,
      birthCode: props.code.birth,
    })
    this.tables = new AuthorityTables(this, 'Tables', {
      removalPolicy,
      deletionProtection: retained,
      adopt: adoptedTables(props),
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
    })
    const throttle = props.throttle ?? { rate: 50, burst: 100 }
    this.publicApi = new PublicApi(this, 'Public', { ...common, throttle, customDomain: props.customDomain })
    this.issuer = this.publicApi.url
    this.handler = this.#makeHandler(props, common)
    const endpoints = props.vpcEndpointIds ?? []
    this.publicApi.route(this.handler.function, endpoints.length === 0 ? 'all' : 'discovery')
    this.privateApi =
      endpoints.length === 0
        ? null
        : new PrivateApi(this, 'Private', {
            ...common,
            throttle,
            vpcEndpointIds: endpoints,
            handler: this.handler.function,
          })
    this.authorityUrl = this.privateApi?.url ?? this.issuer
    // Until the CA is there every answer would be 503, and a gateway that starts would wait for it all the same.
    this.publicApi.stage.node.addDependency(this.issuing.birth)
    this.privateApi?.node.addDependency(this.issuing.birth)
  }

  /** Lets an operator ask for a rotation by hand (docs/authority.md). */
  grantRotate(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['secretsmanager:RotateSecret', 'secretsmanager:TagResource', 'secretsmanager:DescribeSecret'],
      resourceArns: [this.issuing.secret.secretArn],
    })
  }

  /** Lets somebody look up who got which certificate. */
  grantReadIssuances(grantee: iam.IGrantable): iam.Grant {
    return this.tables.issuances.grantReadData(grantee)
  }

  /** A counter of the functions' own, such as `SvidIssued` or `RotationFinished` (docs/authority.md). */
  metric(metricName: string, options: cloudwatch.MetricOptions = {}): Metric {
    return new Metric({
      namespace: this.#metricsNamespace,
      metricName,
      statistic: 'Sum',
      period: cdk.Duration.minutes(5),
      ...options,
      dimensionsMap: { service: 'authority', ...options.dimensionsMap },
    })
  }

  /** Rotations that came to their end. */
  metricRotations(options: cloudwatch.MetricOptions = {}): Metric {
    return this.metric('RotationFinished', options)
  }

  /** Answers of 5xx. */
  metricServerErrors(options: cloudwatch.MetricOptions = {}): Metric {
    return this.publicApi.api.metricServerError({ statistic: 'Sum', ...options })
  }

  #makeHandler(
    props: SallyportIdentityProps,
    common: { readonly encryptionKey?: kms.IKey; readonly logRetention?: logs.RetentionDays },
  ): SallyportFunction {
    const configuration = new lambda.LayerVersion(this, 'Configuration', {
      description: 'identity.yaml and what it names',
      code: props.configuration,
    })
    const handler = new SallyportFunction(this, 'Function', {
      ...common,
      description: 'The authority of Sallyport: identities for proofs',
      code: props.code.identity,
      handler: 'identity.handler',
      // CPU comes with memory, and a mint is CPU: half of it would take more than twice as long.
      memorySizeMiB: 1024,
      timeout: cdk.Duration.seconds(15),
      layers: [configuration],
      reservedConcurrency: props.reservedConcurrency ?? null,
      environment: {
        SALLYPORT_IDENTITY_CONFIG: '/opt/identity.yaml',
        SALLYPORT_ISSUER: this.issuer,
        SALLYPORT_ISSUING_SECRET: this.issuing.secret.secretArn,
        SALLYPORT_REPLAY_TABLE: this.tables.replay.tableName,
        SALLYPORT_ISSUANCES_TABLE: this.tables.issuances.tableName,
        SALLYPORT_METRICS_NAMESPACE: this.#metricsNamespace,
        SALLYPORT_GATEWAY_DNS_NAMES: props.gatewayDnsNames.join(','),
      },
    })
    handler.role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['secretsmanager:GetSecretValue'],
        resources: [this.issuing.secret.secretArn],
      }),
    )
    this.tables.grantUse(handler.role)
    return handler
  }
}

function adoptedTables({ adopt }: SallyportIdentityProps) {
  return adopt === undefined ? undefined : { replay: adopt.replayTable, issuances: adopt.issuancesTable }
}
