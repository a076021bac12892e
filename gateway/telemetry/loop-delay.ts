// The delay of the event loop over the last minute or so, for whoever asks and however often: a reading that reset the
// histogram would take the worst from the other reader.
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Each time wakes an idle process: with 10 ms that is two thirds of a percent of a vCPU. */
const RESOLUTION_MS = 20
const WINDOW_MS = 60_000
const NANOSECONDS = 1e9

export interface LoopDelay {
  /** Seconds; the worse of the minute that is over and the one that runs. */
  p99(): number
  max(): number
  close(): void
}

/** Measures until it is closed. */
export function startLoopDelay(windowMs = WINDOW_MS): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  let last = { p99: 0, max: 0 }
  const timer = setInterval(() => {
    last = { p99: histogram.percentile(99), max: histogram.max }
    histogram.reset()
  }, windowMs)
  timer.unref()
  return {
    p99: () => delay(Math.max(last.p99, histogram.percentile(99))),
    max: () => delay(Math.max(last.max, histogram.max)),
    close() {
      clearInterval(timer)
      histogram.disable()
    },
  }
}

/** Node measures from one look to the next, which no delay at all puts RESOLUTION_MS apart. An empty histogram has 0. */
function delay(nanoseconds: number): number {
  return Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000)
}
