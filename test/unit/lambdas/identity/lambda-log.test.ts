// What the log on Lambda really writes, through Powertools: text from outside forges neither a line nor a field, nor
// reaches a terminal as more than printable characters (attack 53).
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { createLambdaLog } from '../../../../lambdas/identity/lambda-log.ts'
import type { LogRecord } from '../../../../lambdas/identity/log.ts'
import { captureOutput } from '../../../fixtures/output.ts'

/** The lines that a record becomes; EMF metrics are lines of their own. */
function write(record: LogRecord): { readonly raw: string; readonly record: Record<string, unknown> } {
  const { log } = createLambdaLog()
  using output = captureOutput()
  log(record)
  const raw = output.text()
  const lines = raw.trimEnd().split('\n')
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  const [found, ...others] = parsed.filter((line) => !Object.hasOwn(line, '_aws'))
  if (found === undefined || others.length > 0) throw new Error(`${1 + others.length} records: ${raw}`)
  return { raw, record: found }
}

const refused = (subject: string): LogRecord => ({
  ...{ event: 'svid.refused', level: 'warn', code: 'signature-invalid' },
  subject,
})

describe('the log on Lambda', () => {
  test('attack 53: is one line of printable ASCII for a record, whatever a claim holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (subject) => {
        const { raw, record } = write(refused(subject))
        expect(raw).toMatch(/^[\x20-\x7e\n]+$/)
        expect(record).toMatchObject({ level: 'WARN', event: 'svid.refused', code: 'signature-invalid' })
      }),
    )
  })

  test.each<[string, string]>([
    ['attack 53: a line of its own', '"}\n{"level":"INFO","event":"svid.issued"}'],
    ['attack 53: a terminal code', '\u001b[2J\u009b31m'],
    ['attack 53: a line separator', 'a\u2028b\u2029c\u0085d'],
    ['attack 53: text that runs the other way', 'admin\u202egpj.exe'],
    ['attack 53: a letter that looks like another', 'pаyments'],
  ])('%s stays text in its field', (_name, subject) => {
    const { raw, record } = write(refused(subject))
    expect(raw).toMatch(/^[\x20-\x7e\n]+$/)
    expect(record).toMatchObject({ level: 'WARN', event: 'svid.refused' })
    const read = String(record.subject).replaceAll(/\\u([0-9a-f]{4})/g, (_escape, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    expect(read).toBe(subject)
  })

  test('attack 53: the texts of a list are no exception', () => {
    const { raw } = write({ event: 'x', level: 'info', names: ['a\u2028b', 'c'] })
    expect(raw).toMatch(/^[\x20-\x7e\n]+$/)
    expect(raw).toContain('u2028')
  })

  test('a long value is cut and says so', () => {
    const { raw } = write(refused('a'.repeat(50_000)))
    expect(raw.length).toBeLessThan(3_000)
    expect(raw).toContain('(50000 characters)')
  })
})

test('counters are under the namespace of the deployment, and under Sallyport without one', () => {
  const namespaces = ['Sallyport/prod', ''].map((name) => {
    vi.stubEnv('SALLYPORT_METRICS_NAMESPACE', name)
    const { log } = createLambdaLog()
    using output = captureOutput()
    log({ event: 'rotation.finished', level: 'info' })
    return /"Namespace":"([^"]+)"/.exec(output.text())?.[1]
  })
  vi.unstubAllEnvs()
  expect(namespaces).toEqual(['Sallyport/prod', 'Sallyport'])
})

test('a rotation that is blocked is counted by its code, for the alarm on it', () => {
  const { log } = createLambdaLog()
  using output = captureOutput()
  log({ event: 'rotation.blocked', level: 'error', code: 'no-spare-root-key', reason: 'x' })
  const metrics = output
    .text()
    .split('\n')
    .filter((line) => line.includes('"CloudWatchMetrics"'))
    .map((line) => JSON.parse(line) as unknown)
  expect(metrics).toEqual([expect.objectContaining({ RotationBlocked: 1, code: 'no-spare-root-key' })])
})
