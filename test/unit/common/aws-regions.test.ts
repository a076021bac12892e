// STS hosts come from a table (attack 5): nothing that a caller writes becomes part of a host name.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KNOWN_REGIONS, partitionOf, stsHost } from '../../../common/aws-regions.ts'

describe('stsHost', () => {
  test.each<[string, 'fips' | 'dualstack' | null, string | null]>([
    ['eu-west-1', null, 'sts.eu-west-1.amazonaws.com'],
    ['eu-west-1', 'dualstack', 'sts.eu-west-1.api.aws'],
    ['eu-west-1', 'fips', null],
    ['us-east-1', 'fips', 'sts-fips.us-east-1.amazonaws.com'],
    ['us-gov-west-1', null, 'sts.us-gov-west-1.amazonaws.com'],
    ['us-gov-west-1', 'fips', 'sts.us-gov-west-1.amazonaws.com'],
    ['cn-north-1', null, 'sts.cn-north-1.amazonaws.com.cn'],
    ['cn-north-1', 'dualstack', 'sts.cn-north-1.api.amazonwebservices.com.cn'],
    ['cn-north-1', 'fips', null],
  ])('%s, %s', (region, endpoint, host) => {
    expect(stsHost(region, endpoint)).toBe(host)
  })

  test.each([
    ...[
      '',
      'global',
      'aws-global',
      'not-a-region',
      'eu-west-9',
      'EU-WEST-1',
      'eu-west-1 ',
      ' eu-west-1',
      'eu-west-1.',
    ],
    ...[
      'eu-west-1.evil.example',
      'eu-west-1/../',
      'eu-west-1#',
      'eu-west-1?',
      'eu-west-1:443',
      'a@eu-west-1',
      '..',
    ],
    ...[
      'eu-west-1\0',
      'eu-west-1\n',
      'eu-west-1\r\nhost: evil',
      '%65u-west-1',
      'eu-west-1%2e',
      'eu‑west‑1',
      '__proto__',
    ],
    ...['constructor', 'us-iso-east-1', 'localhost', '169.254.169.254', '[::1]', 'xn--eu-west-1', '*'],
  ])('attack 5: %j has no host', (region) => {
    expect(stsHost(region, null)).toBeNull()
    expect(stsHost(region, 'dualstack')).toBeNull()
    expect(partitionOf(region)).toBeNull()
  })

  test('attack 5: whatever the region, the host ends in a domain of AWS', () => {
    const any = fc.oneof(fc.string(), fc.constantFrom(...KNOWN_REGIONS))
    fc.assert(
      fc.property(any, fc.constantFrom('fips', 'dualstack', null), (region, endpoint) => {
        expect(stsHost(region, endpoint) ?? 'sts.x.api.aws').toMatch(
          /^sts(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.com|amazonaws\.com\.cn|api\.aws|api\.amazonwebservices\.com\.cn)$/,
        )
      }),
    )
  })
})
