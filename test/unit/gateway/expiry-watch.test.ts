import { X509Certificate } from 'node:crypto'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { Secret } from '../../../common/secret.ts'
import type { KeyPair } from '../../../gateway/config/types.ts'
import { watchExpiry } from '../../../gateway/expiry-watch.ts'
import { type Ca, createRoot, type Issued } from '../../fixtures/pki.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const START = Date.UTC(2026, 0, 1)

let root: Ca
beforeAll(async () => {
  root = await createRoot({ name: 'root', notBefore: new Date(START), notAfter: new Date(START + 900 * DAY) })
})
beforeEach(() => {
  vi.useFakeTimers({ now: START })
})
afterEach(() => {
  vi.useRealTimers()
})

function keyPairOf({ pem, chainPem, keyPem }: Issued): KeyPair {
  const leaf = new X509Certificate(pem)
  return { chainPem, key: new Secret(keyPem), leaf, leafSha256: leaf.fingerprint256 }
}

async function living(days: number, by: Ca = root): Promise<KeyPair> {
  vi.useRealTimers()
  const [notBefore, notAfter] = [new Date(START), new Date(START + days * DAY)]
  const issued = await by.issue({ cn: 'client', notBefore, notAfter })
  vi.useFakeTimers({ now: START })
  return keyPairOf(issued)
}

function watched(certificates: Map<string, KeyPair>) {
  const told: { level: string; day: number; daysLeft?: number; certificate: string }[] = []
  const note = (level: string) => (facts: object) => {
    const { certificate, daysLeft } = facts as { certificate: string; daysLeft?: number }
    const day = (Date.now() - START) / DAY
    told.push({ level, day, certificate, ...(daysLeft === undefined ? {} : { daysLeft }) })
  }
  const log = { warn: note('warn'), error: note('error') }
  const watch = watchExpiry({ certificates: () => certificates, log, now: () => new Date() })
  return { told, [Symbol.dispose]: () => watch[Symbol.dispose]() }
}

test('from 14 days before, once a day, and as an error after', async () => {
  using watch = watched(new Map([['partner/0', await living(90)]]))
  vi.advanceTimersByTime(76 * DAY - 2 * HOUR)
  expect(watch.told).toEqual([])
  vi.advanceTimersByTime(2 * HOUR)
  expect(watch.told).toEqual([{ level: 'warn', day: 76, certificate: 'partner/0', daysLeft: 14 }])
  vi.advanceTimersByTime(23 * HOUR)
  expect(watch.told).toHaveLength(1)
  vi.advanceTimersByTime(HOUR + 2 * DAY)
  expect(watch.told.map(({ day, daysLeft }) => [day, daysLeft])).toEqual([
    [76, 14],
    [77, 13],
    [78, 12],
    [79, 11],
  ])
  vi.advanceTimersByTime(12 * DAY)
  expect(watch.told.slice(-3).map(({ level, day }) => [level, day])).toEqual([
    ['warn', 89],
    ['error', 90],
    ['error', 91],
  ])
})

test('at the start already', async () => {
  const keyPair = await living(90)
  vi.setSystemTime(START + 80 * DAY)
  using watch = watched(new Map([['partner/0', keyPair]]))
  expect(watch.told).toMatchObject([{ level: 'warn', daysLeft: 10 }])
})

test('a renewed one is another, and one that is gone is no more told of', async () => {
  const certificates = new Map([['partner/0', await living(10)]])
  const next = await living(100)
  vi.setSystemTime(START + 9 * DAY)
  using watch = watched(certificates)
  expect(watch.told).toHaveLength(1)
  certificates.set('partner/0', next)
  vi.advanceTimersByTime(10 * DAY)
  expect(watch.told).toHaveLength(1)
})

test('each certificate has its own day', async () => {
  const certificates = new Map([
    ['a/0', await living(15)],
    ['b/0', await living(15)],
  ])
  vi.setSystemTime(START + 14 * DAY)
  using watch = watched(certificates)
  expect(watch.told.map(({ certificate }) => certificate)).toEqual(['a/0', 'b/0'])
})

test('one that lives less than 28 days is told of in its last third', async () => {
  using watch = watched(new Map([['identity', await living(1)]]))
  vi.advanceTimersByTime(15 * HOUR)
  expect(watch.told).toEqual([])
  vi.advanceTimersByTime(HOUR)
  expect(watch.told).toMatchObject([{ level: 'warn', daysLeft: 0 }])
})

test('a CA in the chain that ends before the leaf counts', async () => {
  vi.useRealTimers()
  const [notBefore, notAfter] = [new Date(START), new Date(START + 40 * DAY)]
  const issuing = await root.subordinate({ name: 'issuing', notBefore, notAfter })
  const keyPair = await living(300, issuing)
  vi.setSystemTime(START + 27 * DAY)
  using watch = watched(new Map([['partner/0', keyPair]]))
  expect(watch.told).toMatchObject([{ level: 'warn', daysLeft: 13 }])
})
