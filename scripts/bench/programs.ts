// Foreign programs of the bench: looked for before anything is measured, started in the foreground, stopped by their own
// process id.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { JEMALLOC } from './image.ts'
import { withChildren } from './proc.ts'

/** Where Debian keeps what is not on everybody's PATH. */
const PATHS = ['/usr/sbin', '/usr/local/sbin', '/sbin', ...(process.env.PATH ?? '').split(':')]
/** Of libnginx-mod-stream. */
export const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'

export interface Programs {
  readonly haproxy: string
  readonly nginx: string
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

async function find(name: string, paths: readonly string[]): Promise<string | null> {
  for (const directory of paths) if (await exists(`${directory}/${name}`)) return `${directory}/${name}`
  return null
}

/** @throws an Error that says all that is missing and how to get it: a comparison with nobody is none. */
export async function findPrograms(paths: readonly string[] = PATHS): Promise<Programs> {
  const haproxy = await find('haproxy', paths)
  const nginx = await find('nginx', paths)
  const missing = [
    ...(haproxy === null ? ['haproxy'] : []),
    ...(nginx === null ? ['nginx-light'] : []),
    ...((await exists(STREAM_MODULE)) ? [] : ['libnginx-mod-stream']),
    ...((await exists(JEMALLOC)) ? [] : ['libjemalloc2']),
  ]
  if (haproxy === null || nginx === null || missing.length > 0) {
    throw new Error(
      `to run as the image does and to compare with, this is missing: apt-get install ${missing.join(' ')}`,
    )
  }
  return { haproxy, nginx }
}

const execute = promisify(execFile)

/** As the programs say it themselves, such as `HAProxy 2.6.12` and `nginx 1.22.1`. */
export async function versionsOf({ haproxy, nginx }: Programs): Promise<{ haproxy: string; nginx: string }> {
  const said = await execute(haproxy, ['-vv'])
  const [, version = '?'] = /version (\d+\.\d+\.\d+)/.exec(said.stdout) ?? []
  const [, openssl = '?'] = /Running on OpenSSL version : (OpenSSL \S+)/.exec(said.stdout) ?? []
  const { stderr } = await execute(nginx, ['-v'])
  const [, of = '?'] = /nginx\/(\S+)/.exec(stderr) ?? []
  return { haproxy: `HAProxy ${version} (${openssl})`, nginx: `nginx ${of} (${openssl})` }
}

export interface Program extends AsyncDisposable {
  /** Of the process and its workers. */
  readonly pids: readonly number[]
}

const running = new Set<ChildProcess>()
let listening = false

/** Ends it with this process, however that ends: whoever interrupts a bench wants no servers left. */
export function tie(child: ChildProcess): void {
  if (!listening) {
    listening = true
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))
    process.on('exit', () => {
      // Not SIGKILL: nginx's workers would outlive their master.
      for (const left of running) left.kill('SIGTERM')
    })
  }
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** Started, and listening on `port`, with all its `workers`: a server listens before it has made them. */
export async function startProgram(
  file: string,
  args: readonly string[],
  { port, workers }: { readonly port: number; readonly workers: number },
): Promise<Program> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  tie(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4096)
    })
  }
  await untilListening(child, port, () => `${file}: ${said}`)
  const { pid } = child
  if (pid === undefined) throw new Error(`${file} has no process id`)
  let pids = await withChildren(pid)
  while (pids.length <= workers && child.exitCode === null) {
    await sleep(20)
    pids = await withChildren(pid)
  }
  return { pids, [Symbol.asyncDispose]: () => stop(child) }
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  // What drains for long has nothing to lose here.
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exited
  clearTimeout(timer)
}

const START_MS = 20_000

async function untilListening(child: ChildProcess, port: number, said: () => string): Promise<void> {
  const until = Date.now() + START_MS
  while (!(await accepts(port))) {
    if (child.exitCode !== null || Date.now() > until) {
      await stop(child)
      throw new Error(`does not listen: ${said()}`)
    }
    await sleep(20)
  }
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

/** Ports that were free a moment ago, for programs that cannot choose one themselves. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map(async (server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
