// Saved queries over audit records: the questions that an auditor, or somebody at three in the morning, has.
import * as logs from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'

const QUERIES: Readonly<Record<string, string>> = {
  'who reached a destination, by which policy': `filter event = "session.opened" and destination = "partner-bank"
| stats count(*) as sessions, min(@timestamp) as first, max(@timestamp) as last by workload, decision.policies.0
| sort sessions desc`,
  'what a workload was refused, and what to do': `filter event = "session" and outcome.code != "closed"
| filter workload = "spiffe://example.org/payments/api"
| stats count(*) as attempts, latest(outcome.hint) as hint by requested.host, requested.port, outcome.code
| sort attempts desc`,
  'reason codes by destination': `filter event = "session"
| stats count(*) as attempts by destination, outcome.code
| sort attempts desc`,
  'bytes by workload and destination': `filter event = "session"
| stats sum(bytes.sent) as sent, sum(bytes.received) as received by workload, destination
| sort sent desc`,
  'slow to open': `filter event = "session" and outcome.code = "closed"
| stats pct(timings.connectMs, 99) as connect, pct(timings.tlsMs, 99) as tls, count(*) as sessions by destination
| sort tls desc`,
  'what was denied, which nobody expects': `filter event = "session" and outcome.code like /^(policy|destination|address)-/
| stats count(*) as attempts, latest(source.ip) as from by workload, requested.host, outcome.code
| sort attempts desc`,
}

export function saveQueries(scope: Construct, logGroup: logs.ILogGroup, deploymentName: string): void {
  for (const [name, query] of Object.entries(QUERIES)) {
    new logs.CfnQueryDefinition(scope, `Query ${name}`, {
      name: `${deploymentName}/${name}`,
      logGroupNames: [logGroup.logGroupName],
      queryString: `fields @timestamp\n| ${query}`,
    })
  }
}
