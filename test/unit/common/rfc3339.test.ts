// Times with their zone, in one form.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRfc3339 } from '../../../common/rfc3339.ts'

describe('parseRfc3339', () => {
  it('reads back every time that is written in its form', () => {
    const time = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })
    fc.assert(
      fc.property(time, (date) => {
        expect(parseRfc3339(date.toISOString())).toEqual(date)
      }),
    )
  })

  it.each<[string, string]>([
    ['2026-11-24T12:00:00Z', '2026-11-24T12:00:00.000Z'],
    ['2026-11-24T12:00:00.123456789Z', '2026-11-24T12:00:00.123Z'],
    ['2026-11-24T12:00:00+05:30', '2026-11-24T06:30:00.000Z'],
    ['2024-02-29T00:00:00-00:00', '2024-02-29T00:00:00.000Z'],
  ])('reads %s', (text, expected) => {
    expect(parseRfc3339(text)?.toISOString()).toBe(expected)
  })

  it.each([
    '',
    '2026',
    '2026-11-24',
    '2026-11-24T12:00:00',
    '2026-11-24T12:00Z',
    '2026-11-24 12:00:00Z',
    '2026-11-24t12:00:00z',
    '20261124T120000Z',
    '2026-13-01T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '2026-11-24T24:00:00Z',
    '2026-11-24T12:60:00Z',
    '2026-11-24T12:00:00+24:00',
    '2026-11-24T12:00:00+0100',
    '2026-11-24T12:00:00Z\n',
    '1795521600',
    'Tue, 24 Nov 2026 12:00:00 GMT',
  ])('refuses %j', (text) => {
    expect(parseRfc3339(text)).toBeNull()
  })
})
