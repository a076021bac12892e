// What an operator sees: dashboard, alarms, saved queries, metrics of the audit records, and their archive.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import type * as kms from 'aws-cdk-lib/aws-kms'
import * as logs from 'aws-cdk-lib/aws-logs'
import type * as s3 from 'aws-cdk-lib/aws-s3'
import type * as sns from 'aws-cdk-lib/aws-sns'
import { Construct } from 'constructs'
import { metricNamespace } from '../configuration/names.ts'
import { createAlarms, type Watched } from './alarms.ts'
import { AuditArchive } from './archive.ts'
import { countAudit } from './audit-metrics.ts'
import { saveQueries } from './queries.ts'

export interface SallyportObservabilityProps extends Watched {
  readonly deploymentName: string
  /** Whom alarms tell: a topic by its ARN, since alarms of earlier stacks name it. @default - nobody; they still show on the dashboard */
  readonly alarmTopic?: sns.ITopic
  /** Of the archive, which there is where the gateway has a bucket of evidence. */
  readonly encryptionKey: kms.IKey
  /** @default logs.RetentionDays.THREE_MONTHS */
  readonly logRetention?: logs.RetentionDays
}

export class SallyportObservability extends Construct {
  readonly alarms: readonly cloudwatch.Alarm[]
  readonly dashboard: cloudwatch.Dashboard
  readonly archive: AuditArchive | null

  constructor(scope: Construct, id: string, props: SallyportObservabilityProps) {
    super(scope, id)
    const { gateway, deploymentName, alarmTopic, encryptionKey } = props
    const { logGroup } = gateway
    countAudit(this, logGroup, metricNamespace(deploymentName))
    saveQueries(this, logGroup, deploymentName)
    this.alarms = createAlarms(this, props)
    if (alarmTopic !== undefined) {
      // Those of the other stacks too: they are made there because AppConfig and ECS act on them.
      const all = [...this.alarms, ...gateway.noHealthyTask, props.configuration.refusedAlarm]
      for (const alarm of all) alarm.addAlarmAction(new SnsAction(alarmTopic))
    }
    this.dashboard = this.#draw(props)
    const logRetention = props.logRetention ?? logs.RetentionDays.THREE_MONTHS
    // CDK's own class does not fit its interface under exactOptionalPropertyTypes.
    const bucket = gateway.evidence?.bucket as s3.IBucket | undefined
    this.archive =
      bucket === undefined
        ? null
        : new AuditArchive(this, 'Archive', { bucket, encryptionKey, logGroup, logRetention })
  }

  #draw({ gateway, identity, configuration }: SallyportObservabilityProps): cloudwatch.Dashboard {
    const alarms = [...this.alarms, ...gateway.noHealthyTask, configuration.refusedAlarm]
    const graph = (title: string, left: cloudwatch.IMetric[]) =>
      new cloudwatch.GraphWidget({ title, left, width: 8, height: 6 })
    const audit = (name: string) => configuration.metric(name)
    return new cloudwatch.Dashboard(this, 'Dashboard', {
      widgets: [
        [new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms, width: 24, height: 4 })],
        [
          graph('Attempts', [audit('Attempts'), audit('Refused')]),
          graph('Connections', [gateway.metricConnections()]),
          graph(
            'CPU',
            gateway.services.map((service) => service.metricCpuUtilization()),
          ),
        ],
        [
          graph('Identities', [identity.publicApi.api.metricCount(), identity.metricServerErrors()]),
          graph('Rotation', [identity.metricRotations({ period: cdk.Duration.days(1) })]),
          graph('Limits', [audit('OverLimit'), audit('AuditUnavailable'), audit('PolicyErrors')]),
        ],
      ],
    })
  }
}
