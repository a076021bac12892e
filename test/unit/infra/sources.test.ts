// The files that are deployed must go with the settings: each disagreement names its file and key.
import { expect, test } from 'vitest'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { REPOSITORY } from '../../../infra/assets.ts'
import { readIdentityNeeds } from '../../../infra/sources/identity-file.ts'
import { settingsOf, synthesize } from './support.ts'

const ACCOUNT = '111122223333'
const HERE = { account: ACCOUNT, partition: 'aws' }
const text = readFileSync(path.join(REPOSITORY, 'infra/configuration/files/identity.yaml'), 'utf8')
const ROLE = 'arn:aws:iam::111122223333:role/sallyport-gateway'

test('the role of the gateway is that of its registration', () => {
  expect(readIdentityNeeds('identity.yaml', text, HERE)).toEqual({
    trustDomain: 'example.org',
    gatewayRoleName: 'sallyport-gateway',
    files: [],
  })
})

test.each<[string, string, RegExp]>([
  [
    'no registration of the gateway',
    text.replace('sallyport/gateway', 'sallyport/other'),
    /identity\.yaml:\d+: registrations: none gives spiffe/,
  ],
  [
    'a role with a path',
    text.replace(ROLE, ROLE.replace('role/', 'role/a/')),
    /expected the ARN of one role without a path/,
  ],
  [
    'a role of another partition',
    text.replace(ROLE, ROLE.replace('aws', 'aws-cn')),
    /a role of partition aws-cn, and the region is of aws \(/,
  ],
  [
    'a role of another account',
    text.replace(ROLE, ROLE.replace(ACCOUNT, '444455556666')),
    /a role of account 444455556666/,
  ],
  [
    'an account that is not listed',
    text.replace(`"${ACCOUNT}": {}`, '"444455556666": {}'),
    /account 111122223333 is not listed/,
  ],
  ['a key that there is not', `${text}more: 1\n`, /unknown key "more"/],
])('%s', (_name, changed, message) => {
  expect(() => readIdentityNeeds('identity.yaml', changed, HERE)).toThrow(message)
})

test('settings of another account do not go with the files', () => {
  expect(settingsOf('dev', { account: '444455556666' }).account).toBe('444455556666')
  expect(() => synthesize('dev', { account: '444455556666' })).toThrow(/the settings say 444455556666/)
})
