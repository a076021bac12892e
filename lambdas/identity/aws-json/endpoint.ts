// The host of a service in a region, as the SDK's own rules have it for the commercial regions, China and GovCloud. Other
// partitions are asked for by AWS_ENDPOINT_URL: a host that is guessed is one that somebody else may have.

export type AwsServiceName = 'dynamodb' | 'secretsmanager'

export interface EndpointKind {
  readonly fips: boolean
  readonly dualstack: boolean
}

interface Partition {
  readonly regions: RegExp
  readonly suffix: string
  readonly dualstackSuffix: string
}

const PARTITIONS: readonly Partition[] = [
  {
    regions: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+$/,
    suffix: 'amazonaws.com',
    dualstackSuffix: 'api.aws',
  },
  {
    regions: /^cn-[a-z]+-\d+$/,
    suffix: 'amazonaws.com.cn',
    dualstackSuffix: 'api.amazonwebservices.com.cn',
  },
  { regions: /^us-gov-[a-z]+-\d+$/, suffix: 'amazonaws.com', dualstackSuffix: 'api.aws' },
]

/** @throws where the region is of no partition that is known here, or has no such hosts */
export function hostOf(service: AwsServiceName, region: string, { fips, dualstack }: EndpointKind): string {
  const partition = PARTITIONS.find(({ regions }) => regions.test(region))
  if (partition === undefined) throw new Error(`no endpoints are known in "${region}": set AWS_ENDPOINT_URL`)
  if (fips && region.startsWith('cn-')) throw new Error('there are no FIPS endpoints in China')
  // Secrets Manager's plain hosts have both kinds of address; GovCloud's of DynamoDB are its FIPS hosts.
  const both = dualstack && service === 'dynamodb'
  const plain = service === 'dynamodb' && region.startsWith('us-gov-') && !dualstack
  const name = fips && !plain ? `${service}-fips` : service
  return `${name}.${region}.${both ? partition.dualstackSuffix : partition.suffix}`
}
