// What is left of sessions that are ended from outside, thousands at once it may be. The client is cut first, and with it
// no byte moves any more; a connection to a service costs the kernel as much again, and what a session leaves behind
// (its promise, its place among the living) costs more than both. So the clients of all come first, then the services, and
// then the rest.
import { Later, type LaterOptions } from '../later.ts'

/** Of a turn, for services, while clients are being cut, */
const MEANWHILE_MS = 1
/** and after that: services too are to be cut within the second that a change of policy may take. */
const SLICE_MS = 8

export interface Cutting {
  /** Called when the client was cut; each of the two is called once, in that order, in later turns. */
  rest(reset: () => void, end: () => void): void
}

interface Rest {
  readonly reset: () => void
  readonly end: () => void
}

/**
 * One for a process, since it is the whole of them that must not take long. How many may wait needs no bound of its own:
 * each is a session that the process's cap still counts. `monotonic`: milliseconds that only grow, default those of the
 * process. `onError`: told where one of them throws; a session whose service cannot be reset ends all the same.
 */
export function createCutting(options: Pick<LaterOptions, 'monotonic' | 'onError'> = {}): Cutting {
  const ends = new Later<Rest>(({ end }) => end(), options)
  const resets = new Later<Rest>(
    (rest) => {
      try {
        rest.reset()
      } finally {
        ends.add(rest)
      }
    },
    { sliceMs: SLICE_MS, hurriedMs: MEANWHILE_MS, ...options },
  )
  return { rest: (reset, end) => resets.add({ reset, end }) }
}
