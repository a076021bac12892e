// What the figures were measured on.
import { readFile } from 'node:fs/promises'
import os from 'node:os'
import type { Programs } from './programs.ts'
import { versionsOf } from './programs.ts'

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGib: number
  readonly kernel: string
  readonly node: string
  readonly haproxy: string
  readonly nginx: string
  /** Of the minute before: what else the machine had to do. */
  readonly load: number
}

export async function describeMachine(programs: Programs): Promise<Machine> {
  const [load = ''] = (await readFile('/proc/loadavg', 'utf8')).split(' ')
  return {
    processor: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGib: Math.round(os.totalmem() / 1024 ** 3),
    kernel: `Linux ${os.release().split('-')[0]}`,
    node: `Node ${process.versions.node} (OpenSSL ${process.versions.openssl}, jemalloc)`,
    ...(await versionsOf(programs)),
    load: Number(load),
  }
}

export function machineText({
  processor,
  cores,
  memoryGib,
  kernel,
  node,
  haproxy,
  nginx,
  load,
}: Machine): string {
  const machine = `${processor}, ${cores} cores, ${memoryGib} GiB, ${kernel}`
  return `${machine}; ${node}, ${haproxy}, ${nginx}. Load average before the run: ${load.toFixed(1)}.`
}
