// What the client believes of an answer: nothing that it did not check against the key that it made and the trust domain
// that it was asked for.
import { webcrypto } from 'node:crypto'
import { expect, test } from 'vitest'
import { readAnswer } from '../../../../cli/identity/answer.ts'
import { readProblem } from '../../../../common/authority/answer.ts'
import { Secret } from '../../../../common/secret.ts'
import * as x509 from '../../../../common/x509-library.ts'
import { createCsr, createDocument, createKeys, createTestAuthority } from '../../lambdas/identity/support.ts'
import { buildAuthorityState } from '../../../../lambdas/identity/authority/state.ts'

interface Issued {
  readonly [field: string]: string
}

async function pemOf(keys: CryptoKeyPair): Promise<Secret> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return new Secret(x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'))
}

/** A good answer, with what it takes to judge it. */
async function answer() {
  const authority = await createTestAuthority()
  const keys = await createKeys('P-256')
  const response = await authority.post({ csr: await createCsr({ keys }) }, await authority.token())
  const issued = (await response.json()) as Issued
  return {
    authority,
    issued,
    input: {
      issued: JSON.stringify(issued),
      bundle: authority.state.bundleText,
      key: await pemOf(keys),
      trustDomain: 'example.org',
      now: authority.clock.now(),
    },
  }
}

test('a good answer gives its facts', async () => {
  const { input, issued } = await answer()
  expect(readAnswer(input)).toMatchObject({
    spiffeId: 'spiffe://example.org/workload',
    serialNumber: issued.serialNumber,
    bundleSequence: 1,
    renewAfter: issued.renewAfter,
  })
})

type Good = Awaited<ReturnType<typeof answer>>
const change = (good: Good, more: Issued) => ({
  ...good.input,
  issued: JSON.stringify({ ...good.issued, ...more }),
})

const refused: Record<string, (good: Good) => Good['input'] | Promise<Good['input']>> = {
  'for another key': async ({ input }) => ({ ...input, key: await pemOf(await createKeys('P-256')) }),
  'with another SPIFFE ID than its certificate': (good) =>
    change(good, { spiffeId: 'spiffe://example.org/admin' }),
  'of another trust domain than was asked for': ({ input }) => ({ ...input, trustDomain: 'other.example' }),
  'whose chain leads to roots that the bundle does not have': async ({ input, authority }) => {
    const other = await buildAuthorityState(await createDocument(authority.clock.now()), 'example.org')
    return { ...input, bundle: other.bundleText }
  },
  'whose chain leads to none of the roots that came with it': async (good) => {
    const other = await buildAuthorityState(await createDocument(good.authority.clock.now()), 'example.org')
    return change(good, { bundle: other.bundlePem })
  },
  'without its issuing CA': (good) =>
    change(good, {
      certificateChain: good.issued.certificateChain?.split(/(?<=END CERTIFICATE-----\n)/)[0] ?? '',
    }),
  'that has expired': ({ input }) => ({ ...input, now: new Date(input.now.getTime() + 2 * 3_600_000) }),
  'without a certificate': (good) => change(good, { certificateChain: 'none' }),
  'with an empty bundle': ({ input }) => ({ ...input, bundle: '{"keys":[]}' }),
}
test.each(Object.entries(refused))('an answer %s is not believed', async (_name, breakIt) => {
  const input = await breakIt(await answer())
  expect(() => readAnswer(input)).toThrow(expect.objectContaining({ code: 'answer-untrusted' }))
})

test.each(['', '{}', '[]', '{"spiffeId":1}'])('an answer %j is malformed', async (issued) => {
  const { input } = await answer()
  expect(() => readAnswer({ ...input, issued })).toThrow(
    expect.objectContaining({ code: 'answer-malformed' }),
  )
})

test.each<[string, string, string]>([
  ['in the past', '2026-11-24T11:00:00.000Z', '2026-11-24T12:30:00.000Z'],
  ['after the end', '2026-11-25T12:00:00.000Z', '2026-11-24T12:30:00.000Z'],
])('a renewal that is named %s is at half life', async (_name, renewAfter, expected) => {
  const good = await answer()
  expect(readAnswer(change(good, { renewAfter })).renewAfter).toBe(expected)
})

test('a problem is told without what a terminal would obey', () => {
  const body = JSON.stringify({
    title: 'no\u001b[2J',
    code: 'x',
    detail: 'a\nb',
    registrations: ['one', 'two'],
  })
  const { message } = readProblem({ status: 409, body })
  expect(message).toBe('x (409): no?[2J a?b: one, two')
})
