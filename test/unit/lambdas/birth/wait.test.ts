// The deployment goes on when the CA signs and verifies, and fails with the reason when its patience ends.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager'
import { waitForBirth } from '../../../../lambdas/birth/wait.ts'
import { formatAuthorityDocument } from '../../../../lambdas/identity/authority/document.ts'
import { createCheck } from '../../../../lambdas/rotation/check.ts'
import { createDocument, TRUST_DOMAIN } from '../identity/support.ts'

const UNBORN = '{"state":"unborn"}'

function scene(values: readonly string[]) {
  let now = 0
  let asked = 0
  const stages: (string | undefined)[] = []
  return {
    stages,
    asked: () => asked,
    options: {
      client: {
        send: async ({ input }: GetSecretValueCommand) => {
          stages.push(input.VersionStage)
          return { SecretString: values[Math.min(asked++, values.length - 1)] }
        },
      } as never,
      secretId: 'issuing',
      check: async () => undefined,
      clock: () => new Date(now),
      pause: async (ms: number) => void (now += ms),
      patience: 60_000,
    },
  }
}

test('a secret that stays unborn fails, with what it is', async () => {
  const { options, asked, stages } = scene([UNBORN])
  await expect(waitForBirth(options)).rejects.toMatchObject({
    code: 'authority-not-born',
    message: expect.stringContaining('authority-unborn'),
  })
  expect(asked()).toBe(13)
  expect(new Set(stages)).toEqual(new Set(['AWSCURRENT']))
})

test('a secret that cannot be read fails with the reason', async () => {
  const { options } = scene([])
  const client = { send: async () => Promise.reject(new Error('AccessDeniedException')) } as never
  await expect(waitForBirth({ ...options, client })).rejects.toThrow(
    /AccessDeniedException.*rotation function/,
  )
})

test('it waits for a CA that signs and verifies, and no longer', async () => {
  const born = formatAuthorityDocument(await createDocument(new Date(0)))
  const { options, asked } = scene([UNBORN, UNBORN, born])
  const check = createCheck({ trustDomain: TRUST_DOMAIN, random: (bytes) => randomBytes(bytes) })
  await waitForBirth({ ...options, check })
  expect(asked()).toBe(3)
})

test('a CA of another trust domain is none', async () => {
  const born = formatAuthorityDocument(await createDocument(new Date(0)))
  const { options } = scene([born])
  const check = createCheck({ trustDomain: 'other.example', random: (bytes) => randomBytes(bytes) })
  await expect(waitForBirth({ ...options, check })).rejects.toThrow(/authority-other-trust-domain/)
})
