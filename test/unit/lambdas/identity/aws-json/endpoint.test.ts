// The hosts of the Lambda bundle's AWS client, held against those of the SDK's own rules.
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { describe, expect, it } from 'vitest'
import { hostOf } from '../../../../../lambdas/identity/aws-json/endpoint.ts'
import { KNOWN_REGIONS } from '../../../../../common/aws-regions.ts'

const sdk = {
  dynamodb: new DynamoDBClient({ region: 'eu-west-1' }),
  secretsmanager: new SecretsManagerClient({ region: 'eu-west-1' }),
}
const KINDS = [
  { fips: false, dualstack: false },
  { fips: true, dualstack: false },
  { fips: false, dualstack: true },
  { fips: true, dualstack: true },
]

describe.each(['dynamodb', 'secretsmanager'] as const)('%s', (service) => {
  it.each(KINDS)('has the hosts that the SDK knows, with %o', (kind) => {
    // The SDK makes up FIPS hosts for China, which has none.
    const regions = KNOWN_REGIONS.filter((region) => !(kind.fips && region.startsWith('cn-')))
    for (const region of regions) {
      const parameters = { Region: region, UseFIPS: kind.fips, UseDualStack: kind.dualstack }
      const { url } = sdk[service].config.endpointProvider(parameters)
      expect({ region, host: hostOf(service, region, kind) }).toEqual({ region, host: url.hostname })
    }
  })

  it.each([
    '',
    'local',
    'eu-west',
    'us-iso-east-1',
    'eusc-de-east-1',
    'eu-west-1.evil.example',
    'eu-west-1/',
  ])('makes up none for %j', (region) => {
    expect(() => hostOf(service, region, { fips: false, dualstack: false })).toThrow('set AWS_ENDPOINT_URL')
  })
})
