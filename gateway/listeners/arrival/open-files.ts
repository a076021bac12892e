// How many connections this process can afford by its limit of open files. Past that limit the kernel would refuse dials and
// log files as well, and libuv closes connections without a word to anybody.
import { readFile } from 'node:fs/promises'

/** For the process itself: libraries, logs, DNS, listeners. */
const RESERVE = 48
/** One towards the workload, one towards the service. */
const PER_SESSION = 2

/** Infinite where there is no limit, or no telling (`/proc` is Linux's). */
export async function affordableConnections(file = '/proc/self/limits'): Promise<number> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const [, soft] = /^Max open files +(\d+) /m.exec(text) ?? []
  if (soft === undefined) return Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor((Number(soft) - RESERVE) / PER_SESSION))
}
