// The log takes text from outside without letting it forge anything (attack 53).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatLogRecord } from '../../../../lambdas/identity/log.ts'

const TIME = new Date('2026-11-24T12:00:00.000Z')

describe('formatLogRecord', () => {
  it('attack 53: is one line of printable ASCII that reads back, whatever a claim holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (subject) => {
        const line = formatLogRecord({ event: 'x', level: 'info', subject }, TIME)
        expect(line).toMatch(/^[\x20-\x7e]+$/)
        expect(JSON.parse(line)).toEqual({ time: TIME.toISOString(), event: 'x', level: 'info', subject })
      }),
    )
  })

  it('cuts long values and says so', () => {
    const line = formatLogRecord({ event: 'x', level: 'info', subject: 'a'.repeat(5000) }, TIME)
    expect(line.length).toBeLessThan(1000)
    expect(line).toContain('(5000 characters)')
  })
})
