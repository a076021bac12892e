// Scale-out by CPU and by live sessions. Never in: a task that goes takes its sessions along, and nobody asked for that.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import type * as ecs from 'aws-cdk-lib/aws-ecs'
import type * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2'

export interface ScalingOptions {
  readonly minimum: number
  readonly maximum: number
  readonly cpuPercent: number
  /** Live sessions of a task, or connections where those are more. */
  readonly sessionsPerTask: number
}

export interface ScaledService {
  readonly service: ecs.FargateService
  readonly balancer: elb.NetworkLoadBalancer
  /** Those that are healthy. */
  readonly tasks: cloudwatch.IMetric
  /** Names of its listeners. */
  readonly listeners: readonly string[]
  /** Where its tasks write metrics. */
  readonly metricsNamespace: string
}

const PERIOD = cdk.Duration.minutes(1)

export function scaleOut(scaled: ScaledService, options: ScalingOptions): void {
  const { service } = scaled
  const count = service.autoScaleTaskCount({ minCapacity: options.minimum, maxCapacity: options.maximum })
  count.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: options.cpuPercent, disableScaleIn: true })
  const limit = options.sessionsPerTask
  count.scaleOnMetric('Sessions', {
    metric: loadOfTask(scaled),
    scalingSteps: [
      { lower: limit, upper: limit * 1.5, change: 1 },
      { lower: limit * 1.5, change: 2 },
    ],
    cooldown: cdk.Duration.minutes(3),
  })
}

/**
 * Many sessions may be in one connection (HTTP/2), and many connections may have none. The balancer counts these, so that it
 * holds whatever tasks say of themselves; each task says its sessions, so that their average is that of a task.
 */
function loadOfTask({ balancer, tasks, listeners, metricsNamespace }: ScaledService): cloudwatch.IMetric {
  const sessions = listeners.map(
    (listener) =>
      new cloudwatch.Metric({
        namespace: metricsNamespace,
        metricName: 'sallyport_sessions_open',
        dimensionsMap: { listener },
        statistic: 'Average',
        period: PERIOD,
      }),
  )
  const names = sessions.map((_, index) => `sessions${index + 1}`)
  const sum = names.map((name) => `FILL(${name}, 0)`).join(' + ')
  return new cloudwatch.MathExpression({
    expression: `MAX([IF(tasks > 0, connections / tasks, 0), ${sum}])`,
    usingMetrics: {
      connections: balancer.metrics.activeFlowCount({ period: PERIOD, statistic: 'Average' }),
      tasks,
      ...Object.fromEntries(sessions.map((metric, index) => [names[index], metric])),
    },
    period: PERIOD,
    label: 'sessions of a task',
  })
}
