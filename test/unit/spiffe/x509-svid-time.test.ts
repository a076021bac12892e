import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SvidError, verifyX509Svid } from '../../../spiffe/x509-svid.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { leafExtensions, make, p256, signerOf, trusting, WORKLOAD } from './certificates.ts'

const START = new Date('2026-06-01T00:00:00Z').getTime()
const SECOND = 1000
const HOUR = 3600 * SECOND
const at = (ms: number) => new Date(START + ms)

const root = await createRoot({ name: 'Root', notBefore: at(0), notAfter: at(10 * HOUR) })
const bundle = trusting(root)
const leafKeys = await p256()
const issue = async (notBefore: Date, notAfter: Date) =>
  (
    await make({
      subject: 'CN=api',
      by: signerOf(root),
      keys: leafKeys,
      notBefore,
      notAfter,
      extensions: leafExtensions(WORKLOAD),
    })
  ).certificate

/** `valid`, or the code of the refusal. */
function verdict(leaf: Awaited<ReturnType<typeof issue>>, now: Date): string {
  try {
    verifyX509Svid({ leaf, intermediates: [], bundle, now, purpose: 'client' })
    return 'valid'
  } catch (error) {
    if (error instanceof SvidError) return error.code
    throw error
  }
}

describe('a leaf of the third to the fifth hour', async () => {
  const leaf = await issue(at(3 * HOUR), at(5 * HOUR))
  test.each([
    ['a millisecond before its time', 3 * HOUR - 1, 'not-yet-valid'],
    ['at its first moment', 3 * HOUR, 'valid'],
    ['in between', 4 * HOUR, 'valid'],
    ['at its last moment', 5 * HOUR, 'valid'],
    ['a millisecond after it', 5 * HOUR + 1, 'expired'],
    ['when the root has expired too', 10 * HOUR + 1, 'chain-expired'],
    ['before the root is valid', -1, 'chain-expired'],
    ['at a time that is none', Number.NaN, 'chain-expired'],
  ])('%s', (_, now, expected) => {
    expect(verdict(leaf, at(now))).toBe(expected)
  })
})

describe('a root has its edges too', async () => {
  const leaf = await issue(at(-HOUR), at(20 * HOUR))
  test.each([
    [-1, 'chain-expired'],
    [0, 'valid'],
    [10 * HOUR, 'valid'],
    [10 * HOUR + 1, 'chain-expired'],
  ])('%i ms after it begins', (now, expected) => {
    expect(verdict(leaf, at(now))).toBe(expected)
  })
})

test('the times of a refusal are in the message, for the operator', async () => {
  const leaf = await issue(at(3 * HOUR), at(5 * HOUR))
  const verify = (now: Date) => () =>
    verifyX509Svid({ leaf, intermediates: [], bundle, now, purpose: 'client' })
  expect(verify(at(6 * HOUR))).toThrow('2026-06-01T05:00:00.000Z')
  expect(verify(at(2 * HOUR))).toThrow('2026-06-01T03:00:00.000Z')
})

test('property: whatever the dates, the verdict is the comparison of times', async () => {
  const seconds = fc.integer({ min: -2 * 3600, max: 12 * 3600 }).map((seconds) => seconds * SECOND)
  await fc.assert(
    fc.asyncProperty(
      seconds,
      seconds,
      fc.array(seconds, { minLength: 1, maxLength: 8 }),
      async (a, b, times) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)]
        const leaf = await issue(at(from), at(to))
        for (const now of [...times, from, to]) {
          const rootInTime = now >= 0 && now <= 10 * HOUR
          const leafVerdict = now < from ? 'not-yet-valid' : now > to ? 'expired' : 'valid'
          expect(verdict(leaf, at(now))).toBe(rootInTime ? leafVerdict : 'chain-expired')
        }
      },
    ),
    { numRuns: 60 },
  )
})
