// The authority's log and metrics on Lambda, by Powertools: the same records as elsewhere, and counters derived from
// them, so that no metric can say what no record says.
import { Logger } from '@aws-lambda-powertools/logger'
import { MetricUnit, Metrics } from '@aws-lambda-powertools/metrics'
import { type AuthorityLog, cleanRecord, type LogRecord } from './log.ts'

/** Where SALLYPORT_METRICS_NAMESPACE says none: two deployments in one account must not count into one metric. */
const NAMESPACE = 'Sallyport'
const SERVICE = 'authority'

/** Counted by event; `by` names the field whose value, from a closed set of ours, becomes the dimension. */
const COUNTERS: Readonly<Record<string, { readonly metric: string; readonly by: string | null }>> = {
  'svid.issued': { metric: 'SvidIssued', by: 'proof' },
  'svid.refused': { metric: 'SvidRefused', by: 'code' },
  'authority.read-failed': { metric: 'AuthorityReadFailed', by: null },
  'issuer.keys-failed': { metric: 'IssuerKeysFailed', by: 'provider' },
  'health.failed': { metric: 'HealthFailed', by: null },
  'rotation.failed': { metric: 'RotationFailed', by: 'code' },
  'rotation.blocked': { metric: 'RotationBlocked', by: 'code' },
  'rotation.finished': { metric: 'RotationFinished', by: null },
  'start.failed': { metric: 'StartFailed', by: null },
}

export interface LambdaLog {
  readonly log: AuthorityLog
}

function count(metrics: Metrics, record: LogRecord): void {
  const counter = COUNTERS[record.event]
  if (counter === undefined) return
  const value = counter.by === null ? null : record[counter.by]
  if (counter.by !== null && typeof value === 'string') metrics.addDimension(counter.by, value)
  metrics.addMetric(counter.metric, MetricUnit.Count, 1)
  // Each its own blob: dimensions of one would be those of all that are published together. Not by `singleMetric()`, which
  // makes a logger and a console of its own each time.
  metrics.publishStoredMetrics()
}

/** Records go to CloudWatch Logs as JSON, counters as EMF beside them. */
export function createLambdaLog(): LambdaLog {
  const logger = new Logger({ serviceName: SERVICE })
  const named = process.env.SALLYPORT_METRICS_NAMESPACE ?? ''
  const metrics = new Metrics({ namespace: named === '' ? NAMESPACE : named, serviceName: SERVICE })
  return {
    log(record) {
      const { event, level, ...fields } = cleanRecord(record)
      logger[level](event, { event, ...fields })
      count(metrics, record)
    },
  }
}
