// A deployment into a VPC that is there already, with NAT and subnets of its own; clients come from two networks.
import * as cdk from 'aws-cdk-lib'
import { addDeployment, type Deployment } from '../../infra/app.ts'
import { type FindAsset, findBuilt } from '../../infra/assets.ts'
import { readSettings } from '../../infra/settings.ts'

export function build(app: cdk.App, findAsset: FindAsset = findBuilt): Deployment {
  const settings = readSettings('existing-vpc', {
    name: 'existing-vpc',
    stage: 'prod',
    account: '111122223333',
    region: 'eu-west-1',
    network: {
      existing: {
        vpcId: 'vpc-0a1b2c3d4e5f60718',
        cidr: '10.20.0.0/16',
        availabilityZones: ['eu-west-1a', 'eu-west-1b'],
        privateSubnetIds: ['subnet-0a1b2c3d4e5f60718', 'subnet-0a1b2c3d4e5f60719'],
        privateSubnetRouteTableIds: ['rtb-0a1b2c3d4e5f60718', 'rtb-0a1b2c3d4e5f60719'],
      },
    },
    gateway: { tasks: { minimum: 2, maximum: 8 }, clients: ['10.20.0.0/16', '10.30.0.0/16'] },
    observability: { alarmTopicArn: 'arn:aws:sns:eu-west-1:111122223333:on-call' },
  })
  return addDeployment(app, settings, findAsset)
}

if (import.meta.main) build(new cdk.App())
