// The CA: the secret that holds its document, the KMS keys of its roots, and the rotation that alone writes the one and
// uses the others. The birth of the CA is the first rotation.
import * as cdk from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as kms from 'aws-cdk-lib/aws-kms'
import type * as lambda from 'aws-cdk-lib/aws-lambda'
import type * as logs from 'aws-cdk-lib/aws-logs'
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager'
import * as triggers from 'aws-cdk-lib/triggers'
import { Construct } from 'constructs'
import { SallyportFunction } from './function.ts'

/** The only value that rotation replaces by a new CA (docs/authority.md). A changed one would overwrite a living CA. */
export const UNBORN = '{"state":"unborn"}'

/** The CA of an earlier deployment. */
export interface AdoptedCa {
  readonly secretArn: string
  /** A and B. */
  readonly rootKeyArns: readonly string[]
}

export interface IssuingSecretProps {
  readonly trustDomain: string
  /** Of the functions' counters. */
  readonly metricsNamespace: string
  /** A CA that is there. @default - one is born */
  readonly adopt?: AdoptedCa | undefined
  /** Named by the policy of the root keys, which outlive the role. @default - CloudFormation's */
  readonly rotationRoleName?: string | undefined
  readonly rotationCode: lambda.Code
  readonly birthCode: lambda.Code
  readonly removalPolicy: cdk.RemovalPolicy
  readonly encryptionKey?: kms.IKey
  readonly logRetention?: logs.RetentionDays
}

export class IssuingSecret extends Construct {
  readonly secret: secretsmanager.ISecret
  /** A and B, for succession. */
  readonly rootKeys: readonly kms.IKey[]
  readonly rotation: SallyportFunction
  /** Done when the CA is there: what relies on it depends on this. */
  readonly birth: triggers.Trigger

  constructor(scope: Construct, id: string, props: IssuingSecretProps) {
    super(scope, id)
    const { removalPolicy } = props
    const { adopt } = props
    // CDK's own class does not fit its interface under exactOptionalPropertyTypes.
    this.secret =
      adopt === undefined
        ? (this.#makeSecret(props) as secretsmanager.ISecret)
        : secretsmanager.Secret.fromSecretAttributes(this, 'Secret', { secretCompleteArn: adopt.secretArn })
    this.rootKeys =
      adopt?.rootKeyArns.map((arn, index) => kms.Key.fromKeyArn(this, `Root${index + 1}`, arn)) ??
      ['A', 'B'].map((name) => this.#makeRootKey(name, removalPolicy))
    this.rotation = this.#makeRotation(props)
    this.#guardRootKeys()
    const schedule = this.#schedule()
    this.birth = this.#awaitBirth(props, schedule)
  }

  #makeSecret({ removalPolicy, encryptionKey }: IssuingSecretProps): secretsmanager.Secret {
    return new secretsmanager.Secret(this, 'Secret', {
      description: 'The CA of Sallyport: roots, issuing CA, JWT keys. Written by its rotation alone',
      secretStringValue: cdk.SecretValue.unsafePlainText(UNBORN),
      removalPolicy,
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
    })
  }

  #makeRootKey(name: string, removalPolicy: cdk.RemovalPolicy): kms.Key {
    return new kms.Key(this, `Root${name}`, {
      description: `Sallyport root key ${name}: signs issuing CAs, by the rotation function alone`,
      keySpec: kms.KeySpec.ECC_NIST_P384,
      keyUsage: kms.KeyUsage.SIGN_VERIFY,
      pendingWindow: cdk.Duration.days(30),
      removalPolicy,
    })
  }

  #makeRotation({
    trustDomain,
    metricsNamespace,
    rotationCode,
    ...props
  }: IssuingSecretProps): SallyportFunction {
    const rotation = new SallyportFunction(this, 'Rotation', {
      description: 'Rotates the CA of Sallyport, as Secrets Manager asks it to',
      code: rotationCode,
      handler: 'rotation.handler',
      timeout: cdk.Duration.minutes(1),
      environment: {
        SALLYPORT_TRUST_DOMAIN: trustDomain,
        SALLYPORT_METRICS_NAMESPACE: metricsNamespace,
        SALLYPORT_ROOT_KEYS: this.rootKeys.map((key) => key.keyArn).join(','),
      },
      ...(props.rotationRoleName === undefined ? {} : { roleName: props.rotationRoleName }),
      ...(props.encryptionKey === undefined ? {} : { encryptionKey: props.encryptionKey }),
      ...(props.logRetention === undefined ? {} : { logRetention: props.logRetention }),
    })
    rotation.role.addToPolicy(
      new iam.PolicyStatement({
        actions: [
          'secretsmanager:DescribeSecret',
          'secretsmanager:GetSecretValue',
          'secretsmanager:PutSecretValue',
          'secretsmanager:UpdateSecretVersionStage',
        ],
        resources: [this.secret.secretArn],
      }),
    )
    rotation.role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['kms:Sign', 'kms:GetPublicKey'],
        resources: this.rootKeys.map((key) => key.keyArn),
      }),
    )
    if (props.encryptionKey !== undefined) {
      rotation.role.addToPolicy(
        new iam.PolicyStatement({
          actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
          resources: [props.encryptionKey.keyArn],
        }),
      )
    }
    rotation.function.addPermission('SecretsManager', {
      principal: new iam.ServicePrincipal('secretsmanager.amazonaws.com'),
      sourceAccount: cdk.Stack.of(this).account,
    })
    return rotation
  }

  /**
   * Whoever may write IAM policies could allow himself to sign: the key says itself who may, and root may only manage. Of a
   * key that is adopted the policy stands already, and names the role as it is named here.
   */
  #guardRootKeys(): void {
    for (const key of this.rootKeys) {
      key.addToResourcePolicy(
        new iam.PolicyStatement({
          sid: 'RotationAloneSigns',
          effect: iam.Effect.DENY,
          principals: [new iam.AnyPrincipal()],
          actions: ['kms:Sign'],
          // A key policy's own "*" is the key.
          resources: ['*'],
          conditions: { ArnNotEquals: { 'aws:PrincipalArn': this.rotation.role.roleArn } },
        }),
      )
    }
  }

  /** Not addRotationSchedule, which would grant more than the function needs. */
  #schedule(): secretsmanager.CfnRotationSchedule {
    const schedule = new secretsmanager.CfnRotationSchedule(this, 'Daily', {
      secretId: this.secret.secretArn,
      rotationLambdaArn: this.rotation.function.functionArn,
      rotationRules: { scheduleExpression: 'rate(1 day)' },
      // The birth of the CA.
      rotateImmediatelyOnUpdate: true,
    })
    // Secrets Manager tries the function at once, which must be allowed by then to do all that it does.
    schedule.node.addDependency(this.rotation)
    return schedule
  }

  #awaitBirth(props: IssuingSecretProps, schedule: secretsmanager.CfnRotationSchedule): triggers.Trigger {
    const { trustDomain, birthCode, encryptionKey, logRetention } = props
    const birth = new SallyportFunction(this, 'Birth', {
      description: 'Waits, at deployment, until the CA of Sallyport is born',
      code: birthCode,
      handler: 'birth.handler',
      timeout: cdk.Duration.minutes(10),
      environment: {
        SALLYPORT_TRUST_DOMAIN: trustDomain,
        SALLYPORT_ISSUING_SECRET: this.secret.secretArn,
      },
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
      ...(logRetention === undefined ? {} : { logRetention }),
    })
    birth.role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['secretsmanager:GetSecretValue'],
        resources: [this.secret.secretArn],
      }),
    )
    if (encryptionKey !== undefined) {
      birth.role.addToPolicy(
        new iam.PolicyStatement({ actions: ['kms:Decrypt'], resources: [encryptionKey.keyArn] }),
      )
    }
    const trigger = new triggers.Trigger(this, 'Born', {
      handler: birth.function,
      timeout: cdk.Duration.minutes(10),
      // The function's own policy, too: it is made after its role, and nothing else would wait for it.
      executeAfter: [birth],
    })
    trigger.node.addDependency(schedule)
    return trigger
  }
}
