// Metrics counted in the audit records themselves: what wakes somebody is what the record says happened. Their names are
// settled at synth, so that alarms elsewhere can name them before there is a log (names.ts).
import * as logs from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'

/** Stages of reason codes (docs/errors.md) by which a wrong configuration shows. Those of clients and of the relay do not. */
const REFUSALS = ['policy', 'destination', 'address', 'dns', 'connect', 'upstream-tls', 'upstream-starttls']

function oneOf(codes: readonly string[]): string {
  return codes.map((code) => `$.outcome.code = "${code}"`).join(' || ')
}

/** By metric name: which records count. */
export const AUDIT_METRICS: Readonly<Record<string, string>> = {
  Attempts: '{ $.event = "session" }',
  Refused: `{ $.event = "session" && (${oneOf(REFUSALS.map((stage) => `${stage}-*`))}) }`,
  PolicyErrors: '{ $.event = "session" && $.outcome.code = "policy-error" }',
  ClientCertificateRefused:
    '{ $.event = "session" && $.outcome.code = "upstream-tls-client-certificate-refused" }',
  AuditUnavailable: '{ $.event = "session" && $.outcome.code = "session-audit-unavailable" }',
  OverLimit: '{ $.event = "session" && $.outcome.code = "limit-*" }',
}

export function countAudit(scope: Construct, logGroup: logs.ILogGroup, metricNamespace: string): void {
  for (const [metricName, pattern] of Object.entries(AUDIT_METRICS)) {
    new logs.MetricFilter(scope, `Count${metricName}`, {
      logGroup,
      metricNamespace,
      metricName,
      filterPattern: logs.FilterPattern.literal(pattern),
      metricValue: '1',
      defaultValue: 0,
    })
  }
}
