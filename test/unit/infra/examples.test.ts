// Each example of the CDK synthesizes, and has what it is an example of.
import { expect, test } from 'vitest'
import { build as buildExisting } from '../../../examples/cdk-existing-vpc/main.ts'
import { build as buildMinimal } from '../../../examples/cdk-minimal/main.ts'
import { build as buildPrivateLink } from '../../../examples/cdk-privatelink/main.ts'
import { createApp, emptyAssets, readApp } from './support.ts'

function synthesizeExample(name: string, build: typeof buildMinimal) {
  const app = createApp()
  return readApp(app, build(app, emptyAssets), name)
}

const isSaid = (message: string) => !message.startsWith('info')

test('examples/cdk-minimal', () => {
  const { messages, templates, all } = synthesizeExample('minimal', buildMinimal)
  expect(messages.filter(isSaid)).toEqual([])
  expect([...templates.keys()]).toEqual(['network', 'identity', 'configuration', 'gateway', 'observability'])
  expect(
    all('AWS::ApplicationAutoScaling::ScalableTarget').map(({ Properties }) => Properties.MinCapacity),
  ).toEqual([1])
})

test('examples/cdk-existing-vpc makes no network, and lets two networks in', () => {
  const { messages, all } = synthesizeExample('existing-vpc', buildExisting)
  expect(messages.filter(isSaid)).toEqual([])
  expect([...all('AWS::EC2::VPC'), ...all('AWS::EC2::Subnet'), ...all('AWS::EC2::NatGateway')]).toEqual([])
  const ingress = all('AWS::EC2::SecurityGroup').flatMap(
    ({ Properties }) => (Properties.SecurityGroupIngress ?? []) as { CidrIp: string }[],
  )
  expect(ingress.map(({ CidrIp }) => CidrIp)).toEqual(['10.20.0.0/16', '10.30.0.0/16'])
})

test('examples/cdk-privatelink offers the gateway to one account, and lets its network in', () => {
  const { messages, all } = synthesizeExample('privatelink', buildPrivateLink)
  expect(messages.filter(isSaid)).toEqual([])
  const [permissions] = all('AWS::EC2::VPCEndpointServicePermissions')
  expect(permissions?.Properties.AllowedPrincipals).toEqual(['arn:aws:iam::444455556666:root'])
  const [service] = all('AWS::EC2::VPCEndpointService')
  expect(service?.Properties.AcceptanceRequired).toBe(true)
  const [balancer] = all('AWS::ElasticLoadBalancingV2::LoadBalancer')
  expect(balancer?.Properties.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic).toBe('on')
  expect(JSON.stringify(all('AWS::EC2::SecurityGroup'))).toContain('"CidrIp":"10.40.0.0/16"')
})
