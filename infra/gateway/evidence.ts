// The second place of evidence: S3 under object lock, where nobody can change or delete what is in it before its time, the
// account's administrator neither. The gateway puts checkpoints of its audit there and can do nothing else with it.
import * as cdk from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as s3 from 'aws-cdk-lib/aws-s3'
import { Construct } from 'constructs'
import { CHECKPOINTS_PREFIX } from './places.ts'

export interface EvidenceProps {
  /** How long each object is locked. */
  readonly keep: cdk.Duration
  readonly encryptionKey: kms.IKey
}

export class Evidence extends Construct {
  readonly bucket: s3.Bucket
  /** What `audit.checkpoints` takes. */
  readonly checkpoints: string
  readonly #key: kms.IKey

  constructor(scope: Construct, id: string, { keep, encryptionKey }: EvidenceProps) {
    super(scope, id)
    this.#key = encryptionKey
    this.bucket = new s3.Bucket(this, 'Bucket', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey,
      bucketKeyEnabled: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      versioned: true,
      objectLockEnabled: true,
      objectLockDefaultRetention: s3.ObjectLockRetention.compliance(keep),
      lifecycleRules: [
        {
          expiration: cdk.Duration.days(keep.toDays() + 1),
          noncurrentVersionExpiration: cdk.Duration.days(1),
        },
      ],
      // What is locked cannot be deleted with its stack, so a stack that tried could never go.
      removalPolicy: cdk.RemovalPolicy.RETAIN,
    })
    this.checkpoints = `s3://${this.bucket.bucketName}/${CHECKPOINTS_PREFIX}`
  }

  /** Neither reading nor a retention of its own: the bucket's is that of every object. */
  grantPutCheckpoints(grantee: iam.IGrantable): void {
    const { region, urlSuffix } = cdk.Stack.of(this)
    const principal = grantee.grantPrincipal
    principal.addToPrincipalPolicy(
      new iam.PolicyStatement({
        actions: ['s3:PutObject'],
        // The keys of objects that are not there yet.
        resources: [this.bucket.arnForObjects(`${CHECKPOINTS_PREFIX}/*`)],
      }),
    )
    principal.addToPrincipalPolicy(
      new iam.PolicyStatement({
        actions: ['kms:GenerateDataKey'],
        resources: [this.#key.keyArn],
        conditions: { StringEquals: { 'kms:ViaService': `s3.${region}.${urlSuffix}` } },
      }),
    )
  }
}
