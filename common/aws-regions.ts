// The regions of AWS and the STS hosts that may be called, from a table of our own: the authority asks them, and who
// proves itself to it signs for them. No part of a host name comes from a caller: a
// region that is not in here is refused, and so `sts.<anything>.amazonaws.com` cannot be made to exist.
// Source: AWS General Reference, "AWS STS endpoints and quotas", and IAM "Regions and endpoints".

/** A partition, as in `arn:aws:…`. */
export type Partition = 'aws' | 'aws-cn' | 'aws-us-gov'

export const STS_ENDPOINTS = ['fips', 'dualstack'] as const
export type StsEndpoint = (typeof STS_ENDPOINTS)[number]

const REGIONS: Readonly<Record<Partition, readonly string[]>> = {
  aws: [
    'af-south-1',
    'ap-east-1',
    'ap-east-2',
    'ap-northeast-1',
    'ap-northeast-2',
    'ap-northeast-3',
    'ap-south-1',
    'ap-south-2',
    'ap-southeast-1',
    'ap-southeast-2',
    'ap-southeast-3',
    'ap-southeast-4',
    'ap-southeast-5',
    'ap-southeast-6',
    'ap-southeast-7',
    'ca-central-1',
    'ca-west-1',
    'eu-central-1',
    'eu-central-2',
    'eu-north-1',
    'eu-south-1',
    'eu-south-2',
    'eu-west-1',
    'eu-west-2',
    'eu-west-3',
    'il-central-1',
    'me-central-1',
    'me-south-1',
    'mx-central-1',
    'sa-east-1',
    'us-east-1',
    'us-east-2',
    'us-west-1',
    'us-west-2',
  ],
  'aws-cn': ['cn-north-1', 'cn-northwest-1'],
  'aws-us-gov': ['us-gov-east-1', 'us-gov-west-1'],
}

/** The commercial regions with a host of the form `sts-fips.<region>.amazonaws.com`. */
const FIPS = new Set(['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'ca-central-1', 'ca-west-1'])

/** All regions, for configuration and its errors. */
export const KNOWN_REGIONS: readonly string[] = Object.values(REGIONS).flat()

/** The partition of a region, or null where there is no such region. */
export function partitionOf(region: string): Partition | null {
  const found = (Object.keys(REGIONS) as Partition[]).find((name) => REGIONS[name].includes(region))
  return found ?? null
}

/** The STS host of a region, or null where there is none of that kind. */
export function stsHost(region: string, endpoint: StsEndpoint | null): string | null {
  const partition = partitionOf(region)
  if (partition === null) return null
  if (endpoint === 'dualstack') {
    return `sts.${region}.${partition === 'aws-cn' ? 'api.amazonwebservices.com.cn' : 'api.aws'}`
  }
  if (endpoint === 'fips' && partition === 'aws') {
    return FIPS.has(region) ? `sts-fips.${region}.amazonaws.com` : null
  }
  // GovCloud's plain hosts are its FIPS hosts; China has none.
  if (endpoint === 'fips' && partition === 'aws-cn') return null
  return `sts.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}`
}
