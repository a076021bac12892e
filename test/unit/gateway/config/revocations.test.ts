// revocations.yaml: what is taken, and each fault as one line that says where and what to do.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { formatFault } from '../../../../common/fault.ts'
import { parseRevocations } from '../../../../gateway/config/revocations.ts'

const NAMES = { trustDomains: ['example.org'], destinations: [{ name: 'bank' }] }
const parse = (text: string) => parseRevocations('r.yaml', text, NAMES)

test('every form of an entry is taken as it is meant', () => {
  const { list, faults, warnings } = parse(`
- {workload: spiffe://example.org/payments/api, reason: "host compromised, INC-7"}
- {workload: "spiffe://example.org/batch/**", reason: x, until: 2027-06-30T02:00:00+02:00}
- serialNumber: "5f0a"
  reason: key in a public repository
- {destination: bank, reason: closed}
- {tokenId: "sha256:00ff", reason: leaked}
`)
  expect(faults).toEqual([])
  expect(warnings).toEqual([])
  expect(list?.entries).toEqual([
    {
      selector: 'workload',
      value: 'spiffe://example.org/payments/api',
      reason: 'host compromised, INC-7',
      until: null,
    },
    {
      selector: 'workload',
      value: 'spiffe://example.org/batch/**',
      reason: 'x',
      until: new Date('2027-06-30T00:00:00Z'),
    },
    { selector: 'serialNumber', value: '5f0a', reason: 'key in a public repository', until: null },
    { selector: 'destination', value: 'bank', reason: 'closed', until: null },
    { selector: 'tokenId', value: 'sha256:00ff', reason: 'leaked', until: null },
  ])
})

test('[] is the list without an entry', () => {
  expect(parse('[]\n').list?.entries).toEqual([])
})

describe('a fault is', () => {
  test.for<[string, string, readonly string[]]>([
    [
      'a file that was cut to nothing',
      '',
      ['r.yaml: expected a list; [] is the list without an entry, found nothing'],
    ],
    ['a mapping', 'a: 1\n', ['r.yaml: expected a list; [] is the list without an entry, found a mapping']],
    [
      'an entry without selector',
      '- {reason: x}\n',
      [
        'r.yaml:1: [0]: names nothing that is revoked (one entry has one of workload, serialNumber, destination, tokenId)',
      ],
    ],
    [
      'two selectors',
      '- {workload: "spiffe://example.org/a", destination: bank, reason: x}\n',
      [
        'r.yaml:1: [0]: names workload and destination (one entry has one of workload, serialNumber, destination, tokenId)',
      ],
    ],
    [
      'a missing reason',
      '- {destination: bank}\n',
      ['r.yaml:1: [0].reason: missing; expected a reason of one line, at most 512 characters (add it)'],
    ],
    [
      'a reason that is blank',
      '- {destination: bank, reason: " "}\n',
      ['r.yaml:1: [0].reason: expected a reason of one line, at most 512 characters, found " "'],
    ],
    [
      'an unknown key',
      '- destination: bank\n  reason: x\n  untill: 2027-01-01T00:00:00Z\n',
      ['r.yaml:3: [0].untill: unknown key "untill" (did you mean "until"?)'],
    ],
    [
      'a serial number with colons',
      '- {serialNumber: "5F:0A", reason: x}\n',
      [
        'r.yaml:1: [0].serialNumber: expected a serial number in lower-case hexadecimal, two digits a byte, in quotes, found "5F:0A" (write "5f0a")',
      ],
    ],
    [
      'a serial number that YAML takes for a number',
      '- {serialNumber: 12345678, reason: x}\n',
      [
        'r.yaml:1: [0].serialNumber: expected a serial number in lower-case hexadecimal, two digits a byte, in quotes, found 12345678',
      ],
    ],
    [
      'a time without zone',
      '- {destination: bank, reason: x, until: 2027-01-01}\n',
      [
        'r.yaml:1: [0].until: expected a time with its zone, such as 2027-06-30T00:00:00Z, found "2027-01-01"',
      ],
    ],
    [
      'a workload that is no SPIFFE ID',
      '- {workload: payments, reason: x}\n',
      [
        'r.yaml:1: [0].workload: expected a SPIFFE ID, or one that ends in /* or /**, found "payments" (does not begin with spiffe://)',
      ],
    ],
  ])('%s', ([, text, faults]) => {
    const reading = parse(text)
    expect(reading.list).toBeNull()
    expect(reading.faults.map(formatFault)).toEqual(faults)
  })
})

test('what revokes nothing here is a warning, since the list may be for more gateways than this', () => {
  const { list, warnings } = parse(`
- {workload: "spiffe://other.test/a", reason: x}
- {workload: spiffe://example.org, reason: x}
- {destination: bnak, reason: x}
`)
  expect(list?.entries).toHaveLength(3)
  expect(warnings.map(formatFault)).toEqual([
    'r.yaml:2: [0].workload: no workload of trust domain other.test is let in here, so this revokes nothing (known: example.org)',
    'r.yaml:3: [1].workload: spiffe://example.org is a trust domain and no workload, so this revokes nothing (spiffe://example.org/** is all of its workloads)',
    'r.yaml:4: [2].destination: there is no destination bnak, so this revokes nothing here (look at its name)',
  ])
})

test('whatever YAML stands there is a list or has faults, and never both', () => {
  const key = fc.constantFrom('workload', 'serialNumber', 'destination', 'tokenId', 'reason', 'until', 'x')
  const value = fc.oneof(
    fc.constantFrom('bank', 'spiffe://example.org/a', '5f', '2027-01-01T00:00:00Z', null, 1, []),
    fc.string(),
  )
  const entries = fc.array(fc.dictionary(key, value, { maxKeys: 4 }), { maxLength: 3 })
  fc.assert(
    fc.property(fc.oneof(entries, fc.string()), (document) => {
      const { list, faults } = parse(typeof document === 'string' ? document : stringify(document))
      expect(list === null).toBe(faults.length > 0)
      for (const fault of faults) expect(formatFault(fault)).toMatch(/^r\.yaml:[^\n]+$/)
    }),
    { numRuns: 300 },
  )
})
