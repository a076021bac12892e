// Access logs of the authority's APIs: who asked what and what the answer was, and never a header or a body, where proofs are.
import * as cdk from 'aws-cdk-lib'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as logs from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'

export interface LogOptions {
  readonly logRetention?: logs.RetentionDays | undefined
  readonly encryptionKey?: kms.IKey | undefined
}

/** `$context` variables of both kinds of API. */
export const ACCESS_LOG_FIELDS = JSON.stringify({
  time: '$context.requestTime',
  requestId: '$context.requestId',
  ip: '$context.identity.sourceIp',
  method: '$context.httpMethod',
  path: '$context.path',
  status: '$context.status',
  latencyMs: '$context.responseLatency',
  bytes: '$context.responseLength',
  error: '$context.error.message',
})

export function createAccessLog(scope: Construct, id: string, options: LogOptions): logs.LogGroup {
  const { logRetention, encryptionKey } = options
  return new logs.LogGroup(scope, id, {
    retention: logRetention ?? logs.RetentionDays.THREE_MONTHS,
    removalPolicy: cdk.RemovalPolicy.DESTROY,
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
  })
}
