// Audiences that an operator may name: those of this installation, and none for which others get tokens (attack 31).
import { describe, expect, it } from 'vitest'
import { findAudienceFault } from '../../../../lambdas/identity/config-urls.ts'

describe('findAudienceFault', () => {
  it.each([
    'sts.amazonaws.com',
    'https://sts.amazonaws.com',
    'https://sts.amazonaws.com/',
    'STS.amazonaws.com',
    'sts.eu-west-1.amazonaws.com',
    'sts.cn-north-1.amazonaws.com.cn',
    'pods.eks.amazonaws.com',
    'https://pods.eks.amazonaws.com',
    'kubernetes.default',
    'kubernetes.default.svc',
    'https://kubernetes.default.svc',
    'https://kubernetes.default.svc/',
    'https://kubernetes.default.svc:443',
    'https://kubernetes.default.svc.cluster.local',
    'kubernetes.default.svc.prod.acme.example',
    'api://AzureADTokenExchange',
    'api://azureadtokenexchange',
    'api://AzureADTokenExchangeUSGov',
  ])('attack 31: refuses %s, which is for another service', (audience) => {
    expect(findAudienceFault(audience)).toContain('another service')
  })

  it.each([
    'https://identity.example.org',
    'https://identity.example.org/v1',
    'identity.example.org',
    'api://sallyport.example.org',
    'https://sts.example.org',
    'https://sts.amazonaws.com.example.org',
    'https://example.org/sts.amazonaws.com',
    'kubernetes.default.example.org',
    'https://identity.example.org?for=kubernetes.default.svc',
  ])('takes %s', (audience) => {
    expect(findAudienceFault(audience)).toBeNull()
  })

  it.each([
    'sallyport',
    'default',
    '',
    'a b.example',
    'https://x.example#y',
    `https://${'x'.repeat(1000)}.example`,
  ])('refuses %j, which is no name of an installation', (audience) => {
    expect(findAudienceFault(audience)).not.toBeNull()
  })
})
