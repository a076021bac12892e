// docs/metrics.md from the metrics themselves: each is used once, and what it then renders gives name, type and labels.
import { createMetrics } from '../gateway/telemetry/metrics.ts'

const INTRODUCTION = `# Metrics

\`GET /metrics\` on the \`admin\` address, as Prometheus text. Names and labels are a contract. This page is written by
\`npm run docs\` from \`gateway/telemetry/metrics.ts\`; do not edit it.

No label holds a workload, a host or anything else that a peer chose, so a client cannot grow the series; those are in
the audit records. \`code\` is one of [the reason codes](errors.md), \`stage\` its prefix. Names of listeners, destinations and trust
domains are those of the configuration: a gauge of one that is gone, or of its certificates, goes with it, and counters stay.

## CloudWatch

\`\`\`yaml
metrics: {emf: {namespace: Sallyport, interval: 60s}}
\`\`\`

writes the same metrics on standard error as CloudWatch Embedded Metric Format, from which CloudWatch Logs makes metrics;
without the key there is none, unless \`SALLYPORT_METRICS_NAMESPACE\` names a namespace, which wins. Names are the same, labels are dimensions. Differences, since CloudWatch adds up over tasks and
time by itself: a counter is what was added since the last interval, and left out where that is nothing (say
\`notBreaching\` for missing data in alarms); a histogram is four metrics, \`…_count\`, \`…_sum\`, \`…_p50\` and \`…_p99\`,
whose percentiles are the upper bound of their bucket. At the end of the process what is left is written once more. While more than 1 MiB waits on standard error, nothing is added; the next
interval has it.

## The metrics

`

/** The page as text. */
export function metricsPage(): string {
  const rows = sample()
    .split(/^# HELP /m)
    .slice(1)
    .map((family) => row(family))
  return `${INTRODUCTION}| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join('')}`
}

function sample(): string {
  const metrics = createMetrics({
    version: '',
    audit: () => ({ dropped: 0, backlogBytes: 0, oldestWaitMs: 0, failure: null, recordsWaiting: 0 }),
  })
  metrics.connectionsOpen('proxy', 1)
  metrics.handshake('proxy', 'ok')
  metrics.probe('proxy')
  metrics.acceptError('proxy')
  metrics.sampleAdmission(() => ({ working: 0, waiting: 0, sources: 0 }))
  metrics.sampleH2(() => 0)
  metrics.decision({ result: 'allow', mode: 'enforce' })
  metrics.attempt('proxy', 'closed', { sent: 0, received: 0 })
  metrics.sessionOpened('proxy', 0)
  metrics.upstreamConnected(0, true)
  metrics.resolved('asked')
  metrics.dialled('up')
  metrics.sampleDnsCache(() => 0)
  metrics.sampleEndpointsAside(() => 0)
  metrics.reload('revocations', 'applied')
  metrics.sampleConfiguration(() => ({ ageSeconds: 0, rejected: false }))
  metrics.sampleRevocations(() => ({ entries: 0, ageSeconds: 0 }))
  metrics.sampleThrottled(() => 0)
  metrics.judgedAgain('kept')
  metrics.sampleJudging(() => 0)
  metrics.sampleAuthority(() => ({
    requests: [{ request: 'svid', result: 'ok', count: 1 }],
    ageSeconds: 0,
    renewalFailingSeconds: 0,
  }))
  metrics.partnerReload({ destination: 'partner', part: 'roots' }, 'failed')
  const moments = { notBefore: new Date(0), notAfter: new Date(0) }
  const valid = [{ name: 'x', ageSeconds: 0, remainingSeconds: 0, ...moments }]
  metrics.sampleCertificates(() => valid)
  metrics.sampleBundles(() => valid)
  metrics.checkpoint('kept')
  try {
    return metrics.render()
  } finally {
    metrics.close()
  }
}

/** From `name help\n# TYPE name type\nname{label="…"} value…`. */
function row(family: string): string {
  const [help = '', type = '', first = ''] = family.split('\n')
  const [name = '', ...meaning] = help.split(' ')
  const labels = [...first.matchAll(/([a-z_]+)="/g)]
    .map(([, label]) => label)
    .filter((label) => label !== 'le')
  const shown = labels.map((label) => `\`${label}\``).join(', ')
  return `| \`${name}\` | ${type.split(' ').at(-1)} | ${shown || '–'} | ${meaning.join(' ')} |\n`
}
