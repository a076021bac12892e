// Scale-out by CPU and by connections. Never in: a task that goes takes its sessions along, and nobody asked for that.
import * as cdk from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import type * as ecs from 'aws-cdk-lib/aws-ecs'
import type * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2'

export interface ScalingOptions {
  readonly minimum: number
  readonly maximum: number
  readonly cpuPercent: number
  readonly connectionsPerTask: number
}

export function scaleOut(
  service: ecs.FargateService,
  balancer: elb.NetworkLoadBalancer,
  targets: elb.NetworkTargetGroup,
  options: ScalingOptions,
): void {
  const count = service.autoScaleTaskCount({ minCapacity: options.minimum, maxCapacity: options.maximum })
  count.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: options.cpuPercent, disableScaleIn: true })
  const period = cdk.Duration.minutes(1)
  // The balancer counts them, so that this holds whatever the tasks say of themselves.
  const perTask = new cloudwatch.MathExpression({
    expression: 'IF(tasks > 0, connections / tasks, 0)',
    usingMetrics: {
      connections: balancer.metrics.activeFlowCount({ period, statistic: 'Average' }),
      tasks: targets.metrics.healthyHostCount({ period, statistic: 'Minimum' }),
    },
    period,
    label: 'connections a task',
  })
  const limit = options.connectionsPerTask
  count.scaleOnMetric('Connections', {
    metric: perTask,
    scalingSteps: [
      { lower: limit, upper: limit * 1.5, change: 1 },
      { lower: limit * 1.5, change: 2 },
    ],
    cooldown: cdk.Duration.minutes(3),
  })
}
