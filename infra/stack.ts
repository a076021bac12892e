// The base of Sallyport's stacks: environment-bound, and yet synthesized without credentials.
import * as cdk from 'aws-cdk-lib'
import type * as logs from 'aws-cdk-lib/aws-logs'
import { RegionInfo } from 'aws-cdk-lib/region-info'
import type { Construct } from 'constructs'
import type { Settings } from './settings.ts'

/** The zones of a deployment. Default: the first two by letter, which nearly every region has. */
export function zonesOf({ region, network }: Settings): readonly string[] {
  return network.existing?.availabilityZones ?? network.availabilityZones ?? [`${region}a`, `${region}b`]
}

export interface SallyportStackProps {
  readonly settings: Settings
  readonly description: string
  /** Whether it holds what cannot be made again. */
  readonly stateful: boolean
}

export class SallyportStack extends cdk.Stack {
  readonly settings: Settings

  constructor(scope: Construct, part: string, { settings, description, stateful }: SallyportStackProps) {
    super(scope, `${settings.name}-${part}`, {
      env: { account: settings.account, region: settings.region },
      description: `Sallyport: ${description}`,
      terminationProtection: stateful && settings.retain,
    })
    this.settings = settings
    cdk.Validations.of(this).acknowledge({
      id: 'CloudFormation-Validate::W3010',
      reason: 'settings name the zones, so that a template is the same wherever it is made',
    })
  }

  /** From the settings: CDK would look them up with credentials, even where a VPC is told its zones. */
  override get availabilityZones(): string[] {
    return [...zonesOf(this.settings)]
  }
}

export function removalPolicyOf({ retain }: Settings): cdk.RemovalPolicy {
  return retain ? cdk.RemovalPolicy.RETAIN : cdk.RemovalPolicy.DESTROY
}

/** Of a region, as its name tells; CDK's own would be a token, which no name can be compared with. */
export function partitionOf(region: string): string {
  return RegionInfo.get(region).partition ?? 'aws'
}

/** CDK's values are the numbers of days. */
export function logRetentionOf({ logRetentionDays }: Settings): logs.RetentionDays {
  const days: unknown = logRetentionDays
  return days as logs.RetentionDays
}
