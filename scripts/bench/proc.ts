// CPU time and memory of other processes, as Linux counts them in /proc. The wall says little on a machine that others use;
// these counters go on only while the process itself runs, in whichever of its threads.
import { readdir, readFile } from 'node:fs/promises'

/** USER_HZ: what proc(5) counts in, 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

export interface ProcessStat {
  readonly parent: number
  /** User and system time of all threads together, those that ended among them. */
  readonly cpuSeconds: number
}

/** `text` of /proc/<pid>/stat. The name of the program stands in parentheses and may hold spaces and parentheses itself. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [, parent, ...rest] = fields.map(Number)
  // Counted from the third field, which is the state: parent is the fourth, utime and stime the 14th and 15th.
  const [user, system] = [rest[9], rest[10]]
  if (parent === undefined || user === undefined || system === undefined || Number.isNaN(user + system)) {
    throw new Error(`not the text of /proc/<pid>/stat: ${JSON.stringify(text.slice(0, 100))}`)
  }
  return { parent, cpuSeconds: (user + system) / TICKS_PER_SECOND }
}

/** Kibibytes of `VmRSS`, out of the text of /proc/<pid>/status. */
export function parseResident(text: string): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(text) ?? []
  if (kib === undefined) throw new Error('no VmRSS in /proc/<pid>/status')
  return Number(kib)
}

/** The process and its children: a server's master and its workers. */
export async function withChildren(pid: number): Promise<readonly number[]> {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(
    all.map(async (other) => {
      const text = await readFile(`/proc/${other}/stat`, 'utf8').catch(() => null)
      return text === null ? null : { other, parent: parseStat(text).parent }
    }),
  )
  return [pid, ...parents.flatMap((found) => (found?.parent === pid ? [found.other] : []))]
}

/** Seconds of CPU that the processes have used so far. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8')))
  return texts.reduce((sum, text) => sum + parseStat(text).cpuSeconds, 0)
}

/** Kibibytes in memory now. What processes share (libraries) counts for each, which a difference of two looks drops. */
export async function residentKib(pids: readonly number[]): Promise<number> {
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8')))
  return texts.reduce((sum, text) => sum + parseResident(text), 0)
}
