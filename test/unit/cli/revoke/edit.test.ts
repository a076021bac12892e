// A list of revocations with an entry more or less: what else is in it stays.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addEntry,
  checkEntry,
  findCovering,
  readEntries,
  removeEntries,
  type WantedEntry,
} from '../../../../cli/revoke/edit.ts'

const NOW = new Date('2026-11-26T12:00:00Z')
const wanted = (changes: Partial<WantedEntry> = {}): WantedEntry => ({
  ...{ selector: 'workload', value: 'spiffe://example.org/payments/api', reason: 'INC-7', until: null },
  ...changes,
})
const LINE = '- { workload: "spiffe://example.org/payments/api", reason: "INC-7" }'
const OLD = '- { serialNumber: "5f0a91", reason: key found }'

describe('an entry is added', () => {
  test.for<[string, string, string]>([
    ['to the list without an entry', '[]\n', `${LINE}\n`],
    ['below its comment', '# ours\n[] # none yet\n', `# ours\n${LINE} # none yet\n`],
    ['after the others', `${OLD}\n`, `${OLD}\n${LINE}\n`],
    ['where the last line has no end', OLD, `${OLD}\n${LINE}\n`],
    ['and comments stay', `# a\n${OLD} # b\n# c\n`, `# a\n${OLD} # b\n${LINE}\n# c\n`],
    ['as deep as the others', `  ${OLD}\n`, `  ${OLD}\n  ${LINE}\n`],
    [
      'after one of several lines',
      '- serialNumber: "5f0a91"\n  reason: key found # there\n\n# end\n',
      `- serialNumber: "5f0a91"\n  reason: key found # there\n${LINE}\n\n# end\n`,
    ],
    ['with the line ends of the file', `${OLD}\r\n`, `${OLD}\r\n${LINE}\r\n`],
    ['behind the mark of a document', `---\n${OLD}\n`, `---\n${OLD}\n${LINE}\n`],
    ['beside the mark of a document', '--- []\n', `--- \n${LINE}\n`],
  ])('%s', ([, before, after]) => {
    expect(addEntry('f', before, wanted())).toBe(after)
  })

  test.for([
    '[{serialNumber: "5f0a91", reason: key found}]\n',
    '[\n  {serialNumber: "5f0a91", reason: key found}, # why\n]\n',
    '- serialNumber: "5f0a91"\n  reason: >-\n    key\n    found\n',
    `- ${OLD.slice(2)}\n...\n`,
  ])('to a list in another form: %j', (before) => {
    const after = readEntries('f', addEntry('f', before, wanted()))
    expect(after.map(({ value }) => value)).toEqual(['5f0a91', 'spiffe://example.org/payments/api'])
    expect(after[0]?.reason).toBe('key found')
  })

  test.for(['', '# nothing\n', 'revocations: []\n', `${OLD}\n- { workload: nobody, reason: x }\n`])(
    'never to what is no list: %j',
    (before) => {
      expect(() => addEntry('f.yaml', before, wanted())).toThrow(
        expect.objectContaining({ code: 'list-broken', message: expect.stringContaining('f.yaml') }),
      )
    },
  )
})

describe('entries are removed', () => {
  const remove = (text: string) =>
    removeEntries('f', text, { selector: 'serialNumber', value: '5f0a91' }).text

  test.for<[string, string, string]>([
    ['the only one', `# a\n${OLD}\n# b\n`, '# a\n[]\n# b\n'],
    ['the first', `${OLD}\n${LINE}\n`, `${LINE}\n`],
    ['the last, without a line end', `${LINE}\n${OLD}`, `${LINE}\n`],
    ['one of several lines', `${LINE}\n- serialNumber: "5f0a91"\n  reason: x\n# c\n`, `${LINE}\n# c\n`],
    ['every one with that value', `${OLD}\n${LINE} # stays\n${OLD}\n`, `${LINE} # stays\n`],
  ])('%s', ([, before, after]) => {
    expect(remove(before)).toBe(after)
  })

  test('of a list in another form', () => {
    expect(readEntries('f', remove('[{serialNumber: "5f0a91", reason: x}]\n'))).toEqual([])
  })

  test('and one that is not there is said', () => {
    expect(() => remove(`${LINE}\n`)).toThrow(expect.objectContaining({ code: 'not-revoked' }))
  })
})

const entries = fc.array(
  fc.record({
    selector: fc.constantFrom('serialNumber' as const, 'tokenId' as const, 'destination' as const),
    value: fc.constantFrom('01', '02', '5f0a91'),
    reason: fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter((text) => /^(?!\s*$)\P{Cc}{1,512}$/u.test(text)),
    until: fc.constantFrom(null, '2027-06-30T00:00:00Z'),
  }),
  { maxLength: 8 },
)

test('what was added is all that is there, in its order, and goes without a trace', () => {
  fc.assert(
    fc.property(entries, (list) => {
      let text = '# first\n[]\n# last\n'
      for (const one of list) text = addEntry('f', text, one)
      const read = readEntries('f', text)
      expect(read.map(({ selector, value, reason }) => ({ selector, value, reason }))).toEqual(
        list.map(({ selector, value, reason }) => ({ selector, value, reason })),
      )
      for (const one of read) {
        if (
          readEntries('f', text).some((left) => left.selector === one.selector && left.value === one.value)
        ) {
          text = removeEntries('f', text, one).text
        }
      }
      expect(text).toBe('# first\n[]\n# last\n')
    }),
  )
})

describe('what is asked for', () => {
  test.for<[string, Partial<WantedEntry>, RegExp]>([
    ['no SPIFFE ID', { value: 'payments' }, /^--workload: expected/],
    ['a trust domain', { value: 'spiffe://example.org' }, /^--workload: .*\/\*\* is all of its workloads/],
    [
      'a serial number in capitals',
      { selector: 'serialNumber', value: '5F:0A' },
      /^--serial: .*write "5f0a"/,
    ],
    ['a reason of two lines', { reason: 'a\nb' }, /^--reason: expected a reason/],
    ['no reason', { reason: ' ' }, /^--reason: expected a reason/],
    ['a time without zone', { until: '2027-06-30' }, /^--until: expected a time/],
    ['a time that is past', { until: '2026-11-26T11:59:59Z' }, /^--until: .*is past/],
    ['an empty destination', { selector: 'destination', value: '' }, /^--destination: expected a name/],
  ])('is refused where it is %s', ([, changes, message]) => {
    expect(() => checkEntry(wanted(changes), NOW)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) }),
    )
  })

  const until = (text: string) =>
    `- { workload: spiffe://example.org/payments/api, reason: x, until: ${text} }\n`
  test.for<[string, string, string | null, boolean]>([
    ['is there already', `${LINE}\n`, null, true],
    ['is there for ever', `${LINE}\n`, '2027-01-01T00:00:00Z', true],
    ['is there until later', until('2027-01-02T00:00:00Z'), '2027-01-01T00:00:00Z', true],
    ['is there until earlier', until('2027-01-01T00:00:00Z'), '2027-01-02T00:00:00Z', false],
    ['is there for a time', until('2027-01-01T00:00:00Z'), null, false],
    ['was there', until('2026-01-01T00:00:00Z'), null, false],
    ['is there for another', `${OLD}\n`, null, false],
  ])('%s', ([, text, end, covered]) => {
    const entry = checkEntry(wanted({ until: end }), NOW)
    expect(findCovering(readEntries('f', text), entry, NOW) !== null).toBe(covered)
  })
})
