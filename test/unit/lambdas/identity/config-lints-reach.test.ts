// Rules for IAM roles that nobody can meet, that everybody meets, or that leave open more than they say (attacks 10, 39).
import { describe, expect, test } from 'vitest'
import { ACCOUNT_ISSUER, faultsOf, warningsOf } from './lints.ts'

const TAGS = 'principalTags: [team]'
const BOTH = `{webIdentity: true, sigv4: {regions: [eu-west-1]}, accounts: {"111122223333": {issuer: "${ACCOUNT_ISSUER}"}}, ${TAGS}}`
const NO_ISSUER = `{webIdentity: true, sigv4: {regions: [eu-west-1]}, accounts: {"111122223333": {}}, ${TAGS}}`
const SIGV4 = `{sigv4: {regions: [eu-west-1]}, accounts: {"111122223333": {}}, ${TAGS}}`
const CHINA = BOTH.replace('eu-west-1', 'cn-north-1')
const FUNCTION = 'lambdaFunction: "arn:aws:lambda:eu-west-1:111122223333:function'

const role = (name: string, more = '', path = 'x', partition = 'aws') =>
  `spiffeId: "spiffe://example.org/${path}", match: {aws: {role: "arn:${partition}:iam::111122223333:role/${name}"${more}}}`

const warned = (aws: string, registration: string) => warningsOf({ aws, registrations: [registration] })

describe('a rule that no AWS proof can meet', () => {
  const id = ', roleId: AROAAAAAAAAAAAAAAAAAA'
  test.each<[string, string, string, RegExp]>([
    [
      'tags, of an account without issuer',
      NO_ISSUER,
      role('api', ', principalTags: {team: a}'),
      /it needs web identity, and the account 111122223333 has no issuer \(because of principalTags\)/,
    ],
    [
      'tags, where web identity is off',
      SIGV4,
      role('api', ', principalTags: {team: a}'),
      /it needs web identity, and proofs\.aws does not accept it/,
    ],
    [
      'a function, of an account without issuer',
      NO_ISSUER,
      role('api', `, ${FUNCTION}:f"`),
      /\(because of lambdaFunction\)/,
    ],
    [
      'a path and an organization',
      NO_ISSUER,
      role('team/api', ', organization: o-0123456789'),
      /\(because of the path, organization\)/,
    ],
    [
      'a template of a tag',
      NO_ISSUER,
      role('api', '', '{principalTag.team}'),
      /\(because of \{principalTag\.team\}\)/,
    ],
    [
      'a template of a function',
      SIGV4,
      role('api', '', '{lambda.name}'),
      /does not accept it \(because of \{lambda\.name\}\)/,
    ],
    [
      'an id and a path',
      BOTH,
      role('team/api', id),
      /roleId is shown by SigV4 alone, and the path by web identity alone/,
    ],
    [
      'an id and a function',
      BOTH,
      role('api', `${id}, ${FUNCTION}:f"`),
      /roleId is shown by SigV4 alone, and lambdaFunction by/,
    ],
    [
      'an id, with regions of another partition',
      CHINA,
      role('api', id),
      /roleId needs SigV4, and no region of sigv4\.regions is in the partition aws /,
    ],
    [
      'a role of a partition without a region',
      SIGV4,
      role('api', '', 'x', 'aws-us-gov'),
      /it needs one of the two proofs: proofs\.aws does not accept it, and no region .* aws-us-gov/,
    ],
    [
      'an account without issuer, with regions of another partition',
      CHINA.replace(`{issuer: "${ACCOUNT_ISSUER}"}`, '{}'),
      role('api'),
      /it needs one of the two proofs: the account 111122223333 has no issuer, and no region/,
    ],
  ])('%s', (_name, aws, registration, expected) => {
    const lines = warned(aws, registration).filter((line) => line.includes('can never match'))
    expect(lines).toEqual([expect.stringMatching(/registrations\[0\]\.match\.aws\.role: can never match: /)])
    expect(`${lines[0]} `).toMatch(expected)
  })

  test.each<[string, string, string]>([
    ['tags where tokens come', BOTH, role('api', ', principalTags: {team: a}')],
    ['an id where signatures come', BOTH, role('api', id)],
    ['a plain role where signatures come', NO_ISSUER, role('api')],
    ['a plain role where tokens come and signatures of another partition', CHINA, role('api')],
    [
      'a role of China by a region of China',
      '{sigv4: {regions: [cn-north-1]}, accounts: {"111122223333": {}}}',
      role('api', '', 'x', 'aws-cn'),
    ],
  ])('but not %s', (_name, aws, registration) => {
    expect(warned(aws, registration)).toEqual([])
  })

  test.each<[string, string]>([
    ['of an account that is not listed', 'arn:aws:lambda:eu-west-1:999999999999:function:f'],
    ['of another partition', 'arn:aws-cn:lambda:cn-north-1:111122223333:function:f'],
  ])('a function %s is a fault', (_name, arn) => {
    expect(faultsOf({ aws: BOTH, registrations: [role('api', `, lambdaFunction: "${arn}"`)] })).toEqual([
      expect.stringMatching(
        /match\.aws\.lambdaFunction: can never match: a function runs as a role of its own account/,
      ),
    ])
  })
})

describe('a wildcard', () => {
  const choose = 'whoever may create'
  test.each<[string, string, readonly RegExp[]]>([
    ['every role', role('*', ', anyPath: true'), [/role: matches every role of the account/]],
    [
      'attack 39: every role by two stars',
      role('**', ', anyPath: true'),
      [/role: matches every role of the account/],
    ],
    ['every role under a path', role('team/*'), [/role: matches every role under \/team\/ /]],
    [
      'every role whose function is any function',
      role('*', `, ${FUNCTION}:*"`),
      [
        /role: matches every role of the account/,
        /lambdaFunction: matches every function of the account in eu-west-1/,
        /several functions get/,
      ],
    ],
    [
      'every role whose function has a star in its name',
      role('*', `, ${FUNCTION}:pay-*"`, '{lambda.name}'),
      [/role: matches every role of the account/, new RegExp(`lambdaFunction: ${choose} functions`)],
    ],
    [
      'one role, any function',
      role('api', `, ${FUNCTION}:*"`, '{lambda.name}'),
      [/lambdaFunction: matches every function/],
    ],
    [
      'one role, several functions with one ID',
      role('api', `, ${FUNCTION}:pay-*"`, '{role}'),
      [
        new RegExp(`lambdaFunction: ${choose} functions`),
        /spiffeId: several functions get one and the same ID \(put \{lambda\.name\} into it/,
      ],
    ],
    ['any role of one function', role('*', `, ${FUNCTION}:pay"`), [new RegExp(`role: ${choose} roles`)]],
    [
      'several roles with one ID',
      role('pay-*'),
      [new RegExp(`role: ${choose} roles`), /spiffeId: several roles get one/],
    ],
  ])('for %s', (_name, registration, expected) => {
    expect(warned(BOTH, registration)).toEqual(expected.map((text) => expect.stringMatching(text)))
  })

  test.each(['{lambda.name}', '{lambda.region}'])(
    'a template of %s without lambdaFunction gives most callers nothing',
    (claim) => {
      expect(warned(BOTH, role('api', '', claim))).toEqual([
        expect.stringContaining(
          `spiffeId: a caller that is no Lambda function gets no ID, for want of ${claim}`,
        ),
      ])
      expect(warned(BOTH, role('api', `, ${FUNCTION}:f"`, claim))).toEqual([])
    },
  )
})
