// The stand-in of Secrets Manager refuses what AWS refuses: what rotation is tried with must not be kinder than AWS.
import { describe, expect, test } from 'vitest'
import { SecretsStore } from '../../../fakes/aws/secrets-store.ts'

const TOKEN = 'x'.repeat(32)

describe('the stand-in of Secrets Manager refuses', () => {
  test.each<[string, (store: SecretsStore) => unknown, string]>([
    ['a reading that names no stage', (store) => store.get({}), 'InvalidParameterException'],
    [
      'a token of 31 characters',
      (store) => store.put({ ClientRequestToken: 'x'.repeat(31), SecretString: 'a' }),
      'InvalidParameterException',
    ],
    ['an empty value', (store) => store.put({ SecretString: '' }), 'InvalidParameterException'],
    [
      'a value of 64 KiB and a byte',
      (store) => store.put({ SecretString: 'x'.repeat(65_537) }),
      'InvalidParameterException',
    ],
    [
      'another value for a token',
      (store) => {
        store.put({ ClientRequestToken: TOKEN, SecretString: 'a', VersionStages: ['AWSPENDING'] })
        store.put({ ClientRequestToken: TOKEN, SecretString: 'b', VersionStages: ['AWSPENDING'] })
      },
      'ResourceExistsException',
    ],
    [
      'a move that says neither where to nor where from',
      (store) => store.move({ VersionStage: 'AWSPENDING' }),
      'InvalidParameterException',
    ],
    [
      'a move of AWSCURRENT that does not say where from',
      (store) => {
        store.put({ ClientRequestToken: TOKEN, SecretString: 'a', VersionStages: ['AWSPENDING'] })
        store.move({ VersionStage: 'AWSCURRENT', MoveToVersionId: TOKEN })
      },
      'InvalidParameterException',
    ],
    [
      'a rotation while another is pending',
      (store) => {
        store.beginRotation()
        store.beginRotation()
      },
      'InvalidRequestException',
    ],
  ])('%s', (_name, act, name) => {
    expect(() => act(new SecretsStore('value'))).toThrow(expect.objectContaining({ name }))
  })
})

test('the stand-in of Secrets Manager ignores a put that it knows: labels stay where they are', () => {
  const store = new SecretsStore('value')
  const put = { ClientRequestToken: TOKEN, SecretString: 'a', VersionStages: ['AWSPENDING'] }
  store.put(put)
  const other = store.put({ SecretString: 'b', VersionStages: ['AWSPENDING'] }).VersionId
  store.put(put)
  expect(store.holderOf('AWSPENDING')).toBe(other)
})
