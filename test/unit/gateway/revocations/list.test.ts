// What a list finds for an attempt: every selector, patterns as clientCertificates knows them, and time.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  describeRevocation,
  type Revocation,
  RevocationList,
  type RevocationQuestion,
} from '../../../../gateway/revocations/list.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'
import { parseSpiffeIdPattern } from '../../../../spiffe/pattern.ts'

const NOW = new Date('2027-01-01T00:00:00Z')
const API = parseSpiffeId('spiffe://example.org/payments/api')
const ASKED: RevocationQuestion = {
  workload: API,
  serialNumber: '5f0a',
  tokenId: null,
  destination: 'bank',
}

function entry(selector: Revocation['selector'], value: string, more: Partial<Revocation> = {}): Revocation {
  return { selector, value, reason: 'because', until: null, ...more }
}

describe('an attempt is revoked by', () => {
  test.for<[string, Revocation, Partial<RevocationQuestion>, string]>([
    ['its exact ID', entry('workload', API.uri), {}, 'revoked-workload'],
    [
      'a pattern one segment wide',
      entry('workload', 'spiffe://example.org/payments/*'),
      {},
      'revoked-workload',
    ],
    ['a pattern of any depth', entry('workload', 'spiffe://example.org/payments/**'), {}, 'revoked-workload'],
    ['its whole trust domain', entry('workload', 'spiffe://example.org/**'), {}, 'revoked-workload'],
    ['its serial number', entry('serialNumber', '5f0a'), {}, 'revoked-certificate'],
    ['its token', entry('tokenId', 't1'), { serialNumber: '', tokenId: 't1' }, 'revoked-token'],
    [
      'its destination',
      entry('destination', 'bank'),
      { workload: null, serialNumber: '' },
      'revoked-destination',
    ],
  ])('%s', ([, revocation, more, code]) => {
    const found = new RevocationList([revocation]).find({ ...ASKED, ...more }, NOW)
    expect(found).toEqual({ code, entry: revocation })
  })
})

describe('an attempt is not revoked by', () => {
  test.for<[string, Revocation, Partial<RevocationQuestion>]>([
    ['an ID that its own begins with', entry('workload', 'spiffe://example.org/payments'), {}],
    ['an ID that begins with its own', entry('workload', 'spiffe://example.org/payments/api/a'), {}],
    ['one segment too few', entry('workload', 'spiffe://example.org/*'), {}],
    ['a pattern below it', entry('workload', 'spiffe://example.org/payments/api/**'), {}],
    ['a pattern beside it', entry('workload', 'spiffe://example.org/pay/**'), {}],
    ['another trust domain', entry('workload', 'spiffe://example.or/**'), {}],
    ['a serial number of another selector', entry('tokenId', '5f0a'), {}],
    ['a certificate where there is none', entry('serialNumber', '5f0a'), { serialNumber: '' }],
    ['a destination where none was matched', entry('destination', 'bank'), { destination: null }],
    ['a destination of another name', entry('destination', 'bank2'), {}],
  ])('%s', ([, revocation, more]) => {
    expect(new RevocationList([revocation]).find({ ...ASKED, ...more }, NOW)).toBeNull()
  })
})

test('an entry ends at its time, and another one for the same goes on', () => {
  const until = new Date(NOW.getTime() + 1)
  const short = entry('workload', API.uri, { until, reason: 'short' })
  const long = entry('workload', API.uri, { reason: 'long' })
  const list = new RevocationList([short, long])
  expect(list.find(ASKED, NOW)?.entry.reason).toBe('short')
  expect(list.find(ASKED, until)?.entry.reason).toBe('long')
  expect(new RevocationList([short]).find(ASKED, until)).toBeNull()
})

test('the narrowest selector is the one that is told', () => {
  const all = [
    entry('destination', 'bank'),
    entry('workload', 'spiffe://example.org/**'),
    entry('workload', API.uri),
    entry('serialNumber', '5f0a'),
  ]
  const codes = all.map(
    (_, index) => new RevocationList(all.slice(0, index + 1)).find(ASKED, NOW)?.entry.value,
  )
  expect(codes).toEqual(['bank', 'spiffe://example.org/**', API.uri, '5f0a'])
})

test('the detail of a record has the entry, its reason and its end', () => {
  expect(describeRevocation(entry('destination', 'bank', { until: NOW }))).toBe(
    'bank: because (until 2027-01-01T00:00:00.000Z)',
  )
})

test('a list finds a workload exactly where one of its patterns matches', () => {
  const segment = fc.constantFrom('a', 'b', 'ab', '.x')
  const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
  const domain = fc.constantFrom('td', 'td.x')
  const id = fc.tuple(domain, path).map(([td, rest]) => `spiffe://${td}/${rest}`)
  const pattern = fc.oneof(
    id,
    fc
      .tuple(
        fc.oneof(
          id,
          domain.map((td) => `spiffe://${td}`),
        ),
        fc.constantFrom('*', '**'),
      )
      .map((one) => one.join('/')),
  )
  fc.assert(
    fc.property(id, fc.array(pattern, { maxLength: 4 }), (uri, patterns) => {
      const workload = parseSpiffeId(uri)
      const list = new RevocationList(patterns.map((one) => entry('workload', one)))
      const found = list.find({ workload, serialNumber: '', tokenId: null, destination: null }, NOW)
      const expected = patterns.filter((one) => parseSpiffeIdPattern(one).matches(workload))
      expect(found === null).toBe(expected.length === 0)
      if (found !== null) expect(expected).toContain(found.entry.value)
    }),
    { numRuns: 500 },
  )
})
