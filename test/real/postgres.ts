// A private PostgreSQL 15 as Debian ships it, without TLS and with a password, on loopback. It refuses to run as root, so it
// runs as Debian's user postgres then.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { bareEnvironment } from './front-door.ts'

export const PASSWORD = 'of the database'

export interface Postgres extends AsyncDisposable {
  readonly port: number
}

/** `program` and its arguments as who may run a database. */
export async function asPostgres(
  program: string,
  args: readonly string[],
): Promise<readonly [string, string[]]> {
  if (process.getuid?.() !== 0) return [program, [...args]]
  const user = ['--reuid=postgres', '--regid=postgres', '--clear-groups', '--no-new-privs']
  return [await needProgram('setpriv'), [...user, program, ...args]]
}

export async function succeed(program: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run(program, args, bareEnvironment(os.tmpdir()))
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`)
}

export async function startPostgres(): Promise<Postgres> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-postgres-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const data = path.join(directory, 'data')
  const password = path.join(directory, 'password')
  await writeFile(password, PASSWORD)
  if (process.getuid?.() === 0) await succeed(await needProgram('chown'), ['-R', 'postgres:', directory])
  const make = ['--auth=scram-sha-256', `--pwfile=${password}`, '--username=app', '--no-sync', '--locale=C']
  await succeed(...(await asPostgres(await needProgram('initdb'), [...make, '-D', data])))
  const port = await freePort()
  const settings = Object.entries({
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: directory,
    ssl: 'off',
    fsync: 'off',
  }).map(([name, value]) => `--${name}=${value}`)
  const server = await asPostgres(await needProgram('postgres'), ['-D', data, ...settings])
  stack.use(await startProgram(...server, port))
  const held = stack.move()
  return { port, [Symbol.asyncDispose]: () => held.disposeAsync() }
}
