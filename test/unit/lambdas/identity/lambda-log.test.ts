// The counters that alarms watch on Lambda: they follow from records, as EMF on standard output.
import { afterEach, expect, test, vi } from 'vitest'
import { createLambdaLog } from '../../../../lambdas/identity/lambda-log.ts'

afterEach(() => vi.restoreAllMocks())

test('a rotation that is blocked is counted by its code', () => {
  const lines: string[] = []
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    lines.push(String(text))
    return true
  })
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const { log } = createLambdaLog()
  log({ event: 'rotation.blocked', level: 'error', code: 'no-spare-root-key', reason: 'x' })
  const metrics = lines.filter((line) => line.includes('"CloudWatchMetrics"')).map((line) => JSON.parse(line))
  expect(metrics).toEqual([expect.objectContaining({ RotationBlocked: 1, code: 'no-spare-root-key' })])
})
