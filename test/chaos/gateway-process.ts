// The gateway as a process of its own, run from source as `sallyport gateway`: its two outputs, its admin port, its signals, and
// what it holds in memory (probe.ts).
import { spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { SessionEvent, SessionOpenedEvent } from '../../gateway/audit/events.ts'
import type { Held } from './probe.ts'

const MAIN = path.resolve(import.meta.dirname, '../../cli/main.ts')
const PROBE = path.join(import.meta.dirname, 'probe.ts')

/** A sample of /metrics, by name and labels as printed. */
export type Samples = ReadonlyMap<string, number>

export interface GatewayProcess extends AsyncDisposable {
  portOf(listener: string): number
  readonly lines: readonly string[]
  /** Of sessions alone, in their order. */
  readonly events: readonly (SessionEvent | SessionOpenedEvent)[]
  readonly closed: ReadonlySet<string>
  stderr(): string
  signal(name: NodeJS.Signals): void
  samples(): Promise<Samples>
  ask(method: string, at: string): Promise<unknown>
  held(): Promise<Held>
  /** The exit code; null where a signal ended it. */
  readonly exited: Promise<number | null>
  running(): boolean
}

/** Resolves when it is ready; rejects with what it said where it ends before. */
export async function startGatewayProcess(config: string): Promise<GatewayProcess> {
  const flags = ['--expose-gc', '--import', PROBE]
  const child = spawn(process.execPath, [...flags, MAIN, 'gateway', '--config', config], {
    cwd: path.dirname(config),
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: undefined },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const exited = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  const lines: string[] = []
  const events: (SessionEvent | SessionOpenedEvent)[] = []
  const closed = new Set<string>()
  const ports = new Map<string, number>()
  let stderr = ''
  let rest = ''
  const take = (line: string) => {
    lines.push(line)
    const event = JSON.parse(line) as { event: string; listener: string; address: string }
    if (event.event === 'listening') ports.set(event.listener, Number(event.address.split(':').at(-1)))
    if (event.event !== 'session' && event.event !== 'session.opened') return
    const session = event as unknown as SessionEvent | SessionOpenedEvent
    events.push(session)
    if (session.event === 'session') closed.add(session.id)
  }
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    parts.forEach(take)
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const ask = async (method: string, at: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${ports.get('admin')}${at}`, { method, headers: { connection: 'close' } })
  const gateway: GatewayProcess = {
    portOf: (listener) => ports.get(listener) ?? 0,
    ...{ lines, events, closed, exited },
    stderr: () => stderr,
    running: () => child.exitCode === null && child.signalCode === null,
    signal: (name) => void child.kill(name),
    samples: async () => readSamples(await (await ask('GET', '/metrics')).text()),
    ask: async (method, at) => (await ask(method, at)).json(),
    held: async () => {
      const answer = new Promise<Held>((resolve) =>
        child.once('message', (message) => resolve(message as Held)),
      )
      child.send('held')
      return answer
    },
    async [Symbol.asyncDispose]() {
      if (gateway.running()) child.kill('SIGKILL')
      await exited
    },
  }
  while (!lines.includes('{"event":"ready"}')) {
    if (!gateway.running()) throw new Error(`the gateway did not start: ${stderr}`)
    await wait(20)
  }
  return gateway
}

function readSamples(text: string): Samples {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const at = line.lastIndexOf(' ')
    samples.set(line.slice(0, at), Number(line.slice(at + 1)))
  }
  return samples
}

/** The sum over all labels; undefined where there is no such metric. */
export function sum(samples: Samples, name: string, labels = ''): number | undefined {
  const found = [...samples].filter(([key]) => key.replace(/\{.*/, '') === name && key.includes(labels))
  return found.length === 0 ? undefined : found.reduce((total, [, value]) => total + value, 0)
}
