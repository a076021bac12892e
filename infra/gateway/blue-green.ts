// Deployments that start all new tasks beside the old ones and then switch each listener over, and back where an alarm goes
// off. ECS does it; here stands what it may touch for that.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/nlb-resources-for-blue-green.html
import * as cdk from 'aws-cdk-lib'
import * as ecs from 'aws-cdk-lib/aws-ecs'
import * as iam from 'aws-cdk-lib/aws-iam'
import type { Construct } from 'constructs'
import type { Way } from './balancer.ts'

/** ECS's managed policy for this lets it change every listener of the account. */
export function createSwitchRole(scope: Construct, ways: readonly Way[]): iam.Role {
  const { account } = cdk.Stack.of(scope)
  const role = new iam.Role(scope, 'SwitchRole', {
    description: 'By it ECS switches the listeners of the gateway between old and new tasks',
    assumedBy: new iam.ServicePrincipal('ecs.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': account } },
    }),
  })
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: [
        'elasticloadbalancing:DescribeListeners',
        'elasticloadbalancing:DescribeRules',
        'elasticloadbalancing:DescribeTargetGroups',
        'elasticloadbalancing:DescribeTargetHealth',
      ],
      // Describing is asked of no resource.
      resources: ['*'],
    }),
  )
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['elasticloadbalancing:ModifyListener'],
      resources: ways.map(({ listener }) => listener.listenerArn),
    }),
  )
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['elasticloadbalancing:RegisterTargets', 'elasticloadbalancing:DeregisterTargets'],
      resources: ways.flatMap(({ targets, alternate }) =>
        [targets, ...(alternate === null ? [] : [alternate])].map((group) => group.targetGroupArn),
      ),
    }),
  )
  return role
}

/** Undefined where deployments are rolling. */
export function alternateOf(id: string, { listener, alternate }: Way, role: iam.Role | null) {
  if (alternate === null || role === null) return undefined
  return new ecs.AlternateTarget(id, {
    alternateTargetGroup: alternate,
    productionListener: ecs.ListenerRuleConfiguration.networkListener(listener),
    role,
  })
}
