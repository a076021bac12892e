// A wrong value in the settings names itself, and what was expected.
import { expect, test } from 'vitest'
import { ENVIRONMENTS } from '../../../infra/environments.ts'
import { adviseOf, readSettings } from '../../../infra/settings.ts'

const dev = ENVIRONMENTS.dev

test('dev is one NAT gateway and one task, prod one NAT gateway a zone and three tasks', () => {
  const [small, large] = [readSettings('dev', dev), readSettings('prod', ENVIRONMENTS.prod)]
  expect([small.network.natGateways, small.gateway.tasks.minimum, small.retain]).toEqual(['one', 1, false])
  expect([large.network.natGateways, large.gateway.tasks.minimum, large.retain]).toEqual(['perZone', 3, true])
})

test.each<[string, object, RegExp]>([
  [
    'an unknown key',
    { netwrok: {} },
    /settings of dev: netwrok: unknown key "netwrok" \(did you mean "network"\?\)/,
  ],
  ['an account that is a number', { account: 111122223333 }, /account: expected text, found 111122223333/],
  [
    'an account of eleven digits',
    { account: '11112222333' },
    /account: expected an account id.*found "11112222333"/,
  ],
  [
    'a region that is none',
    { region: 'Ireland' },
    /region: expected a region such as eu-west-1, found "Ireland"/,
  ],
  [
    'a stopTimeout that Fargate cuts',
    { gateway: { stopTimeoutSeconds: 300 } },
    /gateway\.stopTimeoutSeconds: expected a whole number of seconds from 10 to 120, found 300/,
  ],
  [
    'a deregistration delay over an hour',
    { gateway: { deregistrationDelaySeconds: 3601 } },
    /seconds from 0 to 3600, found 3601/,
  ],
  [
    'the internet as client',
    { gateway: { clients: ['0.0.0.0/0'] } },
    /gateway\.clients\[0\]: expected the networks of your clients/,
  ],
  [
    'the internet as consumer',
    {
      gateway: {
        privateLink: { principals: ['arn:aws:iam::444455556666:root'], consumerCidrs: ['0.0.0.0/0'] },
      },
    },
    /consumerCidrs\[0\]/,
  ],
  [
    'a network with bits behind its length',
    { network: { cidr: '10.0.0.1/16' } },
    /network\.cidr: expected an IPv4 network/,
  ],
  [
    'more tasks at least than at most',
    { gateway: { tasks: { minimum: 5, maximum: 4 } } },
    /gateway\.tasks\.maximum: is lower than minimum/,
  ],
  [
    'memory that one vCPU does not have',
    { gateway: { memoryMiB: 1024 } },
    /gateway\.memoryMiB: expected 2048/,
  ],
  ['a retention that CloudWatch does not know', { logRetentionDays: 100 }, /logRetentionDays: expected 30/],
  [
    'endpoints of a public authority',
    { identity: { vpcEndpoints: ['vpce-0123'] } },
    /identity\.vpcEndpoints: are for exposure: private alone/,
  ],
  [
    'a CA that is adopted in part',
    { adopt: { issuingSecretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf' } },
    /adopt\.dataKeyArn: /,
  ],
  [
    'a table by its ARN',
    { adopt: { replayTable: 'arn:aws:dynamodb:eu-west-1:111122223333:table/a' } },
    /adopt\.replayTable: expected the name of a table/,
  ],
  [
    'a digest of the base image that is none',
    { gateway: { image: { baseDigest: 'sha256:abc' } } },
    /gateway\.image\.baseDigest: expected sha256:/,
  ],
])('%s', (_name, changes, message) => {
  expect(() => readSettings('dev', { ...dev, ...changes })).toThrow(message)
})

test('what is hardly meant in prod is said, and nothing of dev', () => {
  expect(adviseOf(readSettings('dev', dev))).toEqual([])
  const advice = adviseOf(readSettings('prod', { ...ENVIRONMENTS.prod, gateway: {}, network: {} }))
  expect(advice.map((text) => text.split(':')[0])).toEqual([
    'observability.alarmTopicArn',
    'gateway.image.baseDigest',
    'gateway.tasks.minimum',
    'network.natGateways',
    'identity.exposure',
  ])
})
