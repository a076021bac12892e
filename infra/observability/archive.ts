// Audit records where nobody can change or delete them before their time, not the account's administrator either: S3 under
// object lock. Firehose carries them there as CloudWatch Logs gives them, gzipped.
import * as cdk from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as firehose from 'aws-cdk-lib/aws-kinesisfirehose'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as logs from 'aws-cdk-lib/aws-logs'
import type * as s3 from 'aws-cdk-lib/aws-s3'
import { Construct } from 'constructs'

export interface AuditArchiveProps {
  readonly logGroup: logs.ILogGroup
  /** Under object lock: gateway/evidence.ts. */
  readonly bucket: s3.IBucket
  readonly encryptionKey: kms.IKey
  readonly logRetention: logs.RetentionDays
}

export class AuditArchive extends Construct {
  constructor(scope: Construct, id: string, props: AuditArchiveProps) {
    super(scope, id)
    const stream = this.#makeStream(props)
    const { account } = cdk.Stack.of(this)
    const role = new iam.Role(this, 'SubscriptionRole', {
      assumedBy: new iam.ServicePrincipal('logs.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': account } },
      }),
    })
    const policy = new iam.Policy(this, 'SubscriptionPolicy', {
      roles: [role],
      statements: [
        new iam.PolicyStatement({
          actions: ['firehose:PutRecord', 'firehose:PutRecordBatch'],
          resources: [stream.attrArn],
        }),
      ],
    })
    const subscription = new logs.CfnSubscriptionFilter(this, 'Subscription', {
      logGroupName: props.logGroup.logGroupName,
      destinationArn: stream.attrArn,
      roleArn: role.roleArn,
      // Audit events alone: logs stand in the same group.
      filterPattern: '{ $.event = "session*" || $.event = "checkpoint" }',
    })
    // CloudWatch Logs tries the stream when the subscription is made.
    subscription.node.addDependency(policy)
  }

  #makeStream({ bucket, encryptionKey, logRetention }: AuditArchiveProps): firehose.CfnDeliveryStream {
    const { account } = cdk.Stack.of(this)
    const logGroup = new logs.LogGroup(this, 'DeliveryLog', {
      retention: logRetention,
      encryptionKey,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    })
    const logStream = new logs.LogStream(this, 'DeliveryErrors', {
      logGroup,
      removalPolicy: cdk.RemovalPolicy.DESTROY,
    })
    const role = new iam.Role(this, 'DeliveryRole', {
      assumedBy: new iam.ServicePrincipal('firehose.amazonaws.com', {
        conditions: { StringEquals: { 'sts:ExternalId': account } },
      }),
    })
    const policy = new iam.Policy(this, 'DeliveryPolicy', {
      roles: [role],
      statements: [
        new iam.PolicyStatement({
          actions: ['s3:PutObject', 's3:AbortMultipartUpload'],
          // The keys of objects that are not there yet.
          resources: [bucket.arnForObjects('audit/*'), bucket.arnForObjects('failed/*')],
        }),
        new iam.PolicyStatement({
          actions: ['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'],
          resources: [bucket.bucketArn],
        }),
        new iam.PolicyStatement({
          actions: ['kms:GenerateDataKey', 'kms:Decrypt'],
          resources: [encryptionKey.keyArn],
        }),
        new iam.PolicyStatement({
          actions: ['logs:PutLogEvents'],
          resources: [`${logGroup.logGroupArn.replace(/:\*$/, '')}:log-stream:${logStream.logStreamName}`],
        }),
      ],
    })
    const stream = new firehose.CfnDeliveryStream(this, 'Stream', {
      deliveryStreamType: 'DirectPut',
      deliveryStreamEncryptionConfigurationInput: { keyType: 'AWS_OWNED_CMK' },
      extendedS3DestinationConfiguration: {
        bucketArn: bucket.bucketArn,
        roleArn: role.roleArn,
        prefix: 'audit/!{timestamp:yyyy/MM/dd/HH}/',
        errorOutputPrefix: 'failed/!{firehose:error-output-type}/',
        bufferingHints: { intervalInSeconds: 60, sizeInMBs: 5 },
        // CloudWatch Logs has compressed what it sends.
        compressionFormat: 'UNCOMPRESSED',
        cloudWatchLoggingOptions: {
          enabled: true,
          logGroupName: logGroup.logGroupName,
          logStreamName: logStream.logStreamName,
        },
      },
    })
    stream.node.addDependency(policy)
    return stream
  }
}
