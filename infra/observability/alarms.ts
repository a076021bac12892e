// What wakes somebody. Each alarm has its section in docs/runbooks.md, and says so; each has an action where there is a topic.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import type { Construct } from 'constructs'
import type { SallyportConfiguration } from '../configuration/configuration.ts'
import type { SallyportGateway } from '../gateway/gateway.ts'
import type { SallyportIdentity } from '../identity/identity.ts'

export interface Watched {
  readonly identity: SallyportIdentity
  readonly configuration: SallyportConfiguration
  readonly gateway: SallyportGateway
}

interface AlarmSpec {
  readonly metric: cloudwatch.IMetric
  readonly says: string
  readonly threshold: number
  readonly periods?: number
  /** Default: more than the threshold. */
  readonly below?: boolean
  /** Where silence itself is the fault. Default: silence is well. */
  readonly silenceIsFault?: boolean
}

const MINUTES_5 = cdk.Duration.minutes(5)

function specs({ identity, configuration, gateway }: Watched): Readonly<Record<string, AlarmSpec>> {
  const audit = (name: string) => configuration.metric(name, { period: MINUTES_5 })
  // As the tasks write them: the worst of all tasks counts.
  const gauge = (name: string, options: cloudwatch.MetricOptions = {}) =>
    configuration.metric(name, { period: MINUTES_5, statistic: 'Maximum', ...options })
  const { balancer, services } = gateway
  const rest = Object.fromEntries(
    services.map((service, index) => [
      `MemoryHigh${index + 1}`,
      {
        metric: service.metricMemoryUtilization(),
        threshold: 85,
        periods: 3,
        says: 'A task is near its memory',
      },
    ]),
  )
  return {
    RotationMissing: {
      metric: identity.metricRotations({ period: cdk.Duration.days(1) }),
      ...{ threshold: 1, periods: 2, below: true, silenceIsFault: true },
      says: 'No rotation of the CA has finished for two days; the issuing CA lives seven',
    },
    RotationFailed: {
      metric: functionErrors(identity.issuing.rotation.function),
      threshold: 0,
      says: 'A step of the rotation of the CA failed',
    },
    AuthorityErrors: {
      metric: identity.metricServerErrors({ period: MINUTES_5 }),
      threshold: 5,
      says: 'The authority answers 5xx: workloads get no identities, and go on until theirs end',
    },
    AuthorityThrottled: {
      metric: identity.handler.function.metricThrottles({ period: MINUTES_5, statistic: 'Sum' }),
      threshold: 0,
      says: 'The authority is throttled: callers wait for identities',
    },
    ConfigurationRefused: {
      metric: functionErrors(configuration.validator.function),
      threshold: 0,
      says: 'A configuration was refused before it was handed out',
    },
    PolicyErrors: {
      metric: audit('PolicyErrors'),
      threshold: 0,
      says: 'A policy fails at run time: what it would judge is denied',
    },
    ClientCertificateRefused: {
      metric: audit('ClientCertificateRefused'),
      threshold: 5,
      says: 'A service refuses our client certificate: it may have expired or been replaced',
    },
    AuditUnavailable: {
      metric: audit('AuditUnavailable'),
      threshold: 0,
      says: 'Sessions are refused because they cannot be recorded',
    },
    OverLimit: { metric: audit('OverLimit'), threshold: 100, says: 'Many attempts are over a limit' },
    ConfigurationRejected: {
      metric: gauge('sallyport_configuration_rejected'),
      threshold: 0,
      says: 'A task goes on with the configuration before: it cannot take the newest',
    },
    ConfigurationStale: {
      metric: gauge('sallyport_configuration_age_seconds'),
      threshold: 3600,
      says: 'AppConfig cannot be asked for an hour; past lastKnownGood.maxAge new sessions are refused',
    },
    RevocationsStale: {
      metric: gauge('sallyport_revocations_age_seconds'),
      threshold: 300,
      says: 'A task has not seen the list of revocations for five minutes',
    },
    AuditFailing: {
      metric: gauge('sallyport_audit_failing'),
      threshold: 0,
      says: 'A task can write no audit record',
    },
    IdentityAging: {
      metric: gauge('sallyport_certificate_remaining_seconds', {
        statistic: 'Minimum',
        dimensionsMap: { name: 'identity' },
      }),
      ...{ threshold: 6 * 3600, below: true },
      says: "The gateway's own certificate ends within six hours: it gets no new one",
    },
    ...(gateway.evidence === null
      ? {}
      : {
          CheckpointsLost: {
            metric: gauge('sallyport_audit_checkpoint_kept_age_seconds'),
            threshold: 600,
            says: 'No checkpoint of the audit has reached its second place for ten minutes',
          },
        }),
    PortsExhausted: {
      metric: balancer.loadBalancer.metrics.custom('PortAllocationErrorCount', {
        period: MINUTES_5,
        statistic: 'Sum',
      }),
      threshold: 0,
      says: 'The balancer has no port left towards a task: add tasks',
    },
    ...rest,
  }
}

function functionErrors(fn: { metricErrors(options: cloudwatch.MetricOptions): cloudwatch.Metric }) {
  return fn.metricErrors({ period: MINUTES_5, statistic: 'Sum' })
}

export function createAlarms(scope: Construct, watched: Watched): readonly cloudwatch.Alarm[] {
  const { ComparisonOperator, TreatMissingData } = cloudwatch
  return Object.entries(specs(watched)).map(
    ([name, { metric, says, threshold, periods = 1, below = false, silenceIsFault = false }]) =>
      new cloudwatch.Alarm(scope, name, {
        metric,
        threshold,
        evaluationPeriods: periods,
        // Those of a service are numbered, and have one section.
        alarmDescription: `${says}. docs/runbooks.md#${name.replace(/\d+$/, '').toLowerCase()}`,
        comparisonOperator: below
          ? ComparisonOperator.LESS_THAN_THRESHOLD
          : ComparisonOperator.GREATER_THAN_THRESHOLD,
        treatMissingData: silenceIsFault ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
      }),
  )
}
