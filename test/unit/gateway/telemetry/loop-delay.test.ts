// What Node measures from one look to the next is told as what the loop was late.
import { expect, test, vi } from 'vitest'
import { startLoopDelay } from '../../../../gateway/telemetry/loop-delay.ts'

const measured = vi.hoisted(() => ({ ms: 0, every: 0 }))

vi.mock('node:perf_hooks', () => ({
  monitorEventLoopDelay({ resolution }: { readonly resolution: number }) {
    measured.every = resolution
    return {
      enable() {},
      disable() {},
      reset: () => (measured.ms = 0),
      percentile: () => measured.ms * 1e6,
      get max() {
        return measured.ms * 1e6
      },
    }
  },
}))

test.for<[string, (every: number) => number, number]>([
  ['of a loop that was not looked at yet is none', () => 0, 0],
  ['of a look that came early is none', (every) => every - 1, 0],
  ['of a look in time is none', (every) => every, 0],
  ['of a loop that was held is that time', (every) => every + 50, 0.05],
])('the delay %s', ([, between, seconds]) => {
  const delay = startLoopDelay()
  measured.ms = between(measured.every)
  expect(delay.p99()).toBeCloseTo(seconds, 9)
  expect(delay.max()).toBeCloseTo(seconds, 9)
  delay.close()
})
