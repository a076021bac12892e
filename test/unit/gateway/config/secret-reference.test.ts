import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSecretReference, SecretReference } from '../../../../gateway/config/secret-reference.ts'

const ARN = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:bank-Ab12Cd'

const GOOD: Record<string, readonly [arn: string, region: string, field: string | null]> = {
  [ARN]: [ARN, 'eu-west-1', null],
  [`${ARN}#key`]: [ARN, 'eu-west-1', 'key'],
  [`${ARN}#a#b`]: [ARN, 'eu-west-1', 'a#b'],
  [`${ARN}#client key`]: [ARN, 'eu-west-1', 'client key'],
  'arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a/b_c+d=e.f@g-h-Ab12Cd#k': [
    'arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a/b_c+d=e.f@g-h-Ab12Cd',
    'us-gov-west-1',
    'k',
  ],
  'arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:x-Ab12Cd': [
    'arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:x-Ab12Cd',
    'cn-north-1',
    null,
  ],
}

const BAD: Record<string, string> = {
  'a name alone': 'bank',
  nothing: '',
  'another service': 'arn:aws:kms:eu-west-1:111122223333:key/x',
  'no region': 'arn:aws:secretsmanager::111122223333:secret:bank-Ab12Cd',
  'a region that would be part of a host name': 'arn:aws:secretsmanager:evil.example/:111122223333:secret:x',
  'a short account': 'arn:aws:secretsmanager:eu-west-1:1111:secret:bank-Ab12Cd',
  'no name': 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:',
  'a blank at its end': `${ARN} `,
  'a line break': `${ARN}\n`,
  'an empty field': `${ARN}#`,
  'a field with a control character': `${ARN}#a\u0007`,
  'a field that has no end': `${ARN}#${'x'.repeat(257)}`,
}

describe('parseSecretReference', () => {
  for (const [text, [arn, region, field]] of Object.entries(GOOD)) {
    test(`takes ${text}`, () => {
      expect(parseSecretReference(text)).toEqual(new SecretReference(arn, region, field))
    })
  }
  for (const [name, text] of Object.entries(BAD)) {
    test(`refuses ${name}`, () => {
      expect(parseSecretReference(text)).toEqual({ message: expect.any(String), remedy: expect.any(String) })
    })
  }

  test('what it takes is printed as it was written, whatever it is', () => {
    const likely = fc
      .array(
        fc.constantFrom(
          'arn',
          ':',
          'aws',
          'secretsmanager',
          'eu-west-1',
          '111122223333',
          'secret',
          '#',
          'x',
          '-',
        ),
      )
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          likely,
          fc.string().map((rest) => `${ARN}${rest}`),
        ),
        (text) => {
          const reference = parseSecretReference(text)
          if (reference instanceof SecretReference) expect(String(reference)).toBe(`secretsmanager:${text}`)
          else expect(reference.message).toMatch(/^expected /)
        },
      ),
    )
  })
})
