// A private PostgreSQL that takes TLS with a client certificate alone (`hostssl … cert`): 15 as Debian 12 ships it, 17 in the
// Debian 13 tree. Whoever shows a certificate of the client CA is user `app`; user `scram` has a password.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { freePort, needProgram, startProgram } from '../fixtures/process.ts'
import { asPostgres, succeed } from './postgres.ts'
import { makeFolderInTree, needTree } from './tree.ts'

export type Version = 15 | 17

export interface TlsPostgresOptions {
  readonly version: Version
  readonly certificate: string
  readonly key: string
  readonly clientCa: string
}

export interface TlsPostgres extends AsyncDisposable {
  readonly port: number
  /** What the server has logged. */
  readonly log: () => string
}

/** Who may show what: `cert` takes the name in the certificate for the user's, or what the map says of it. */
const HBA = `hostssl all scram all scram-sha-256 clientcert=verify-ca
hostssl all all all cert map=partners
`
const IDENT = 'partners /^.*$ app\n'

/** A folder of the server's own, and its programs run as who may run a database. */
interface Place extends AsyncDisposable {
  readonly here: string
  readonly there: string
  command(program: 'initdb' | 'postgres', args: readonly string[]): Promise<readonly [string, string[]]>
  own(): Promise<void>
}

async function onThisMachine(): Promise<Place> {
  const here = await mkdtemp(path.join(os.tmpdir(), 'sallyport-postgres-'))
  return {
    ...{ here, there: here },
    command: async (program, args) => asPostgres(await needProgram(program), args),
    async own() {
      if (process.getuid?.() === 0) await succeed(await needProgram('chown'), ['-R', 'postgres:', here])
    },
    [Symbol.asyncDispose]: () => rm(here, { recursive: true, force: true }),
  }
}

async function inTree(): Promise<Place> {
  const tree = await needTree()
  const folder = await makeFolderInTree()
  const bin = '/usr/lib/postgresql/17/bin:/usr/bin:/bin'
  const clean = ['/usr/bin/env', '-i', `PATH=${bin}`, 'LC_ALL=C.UTF-8']
  return {
    ...folder,
    command: async (program, args) => [
      '/usr/sbin/chroot',
      ['--userspec=postgres:postgres', tree, ...clean, program, ...args],
    ],
    own: () => succeed('/usr/sbin/chroot', [tree, ...clean, 'chown', '-R', 'postgres:', folder.there]),
  }
}

export async function startTlsPostgres(options: TlsPostgresOptions): Promise<TlsPostgres> {
  await using stack = new AsyncDisposableStack()
  const place = stack.use(options.version === 15 ? await onThisMachine() : await inTree())
  const there = (name: string) => path.join(place.there, name)
  const files = {
    'server.pem': options.certificate,
    'server.key': options.key,
    'clients.pem': options.clientCa,
    'hba.conf': HBA,
    'ident.conf': IDENT,
  }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(path.join(place.here, name), text, { mode: 0o600 })
  }
  await place.own()
  const make = ['--auth=reject', '--username=app', '--no-sync', '--locale=C', '-D', there('data')]
  await succeed(...(await place.command('initdb', make)))
  const port = await freePort()
  const settings = Object.entries({
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: place.there,
    hba_file: there('hba.conf'),
    ident_file: there('ident.conf'),
    ssl: 'on',
    ssl_cert_file: there('server.pem'),
    ssl_key_file: there('server.key'),
    ssl_ca_file: there('clients.pem'),
    fsync: 'off',
    // A query whose client is gone ends, so that the server does too.
    client_connection_check_interval: '1s',
    // The tree has no /dev/shm.
    dynamic_shared_memory_type: 'mmap',
  }).map(([name, value]) => `--${name}=${value}`)
  const server = await place.command('postgres', ['-D', there('data'), ...settings])
  const running = stack.use(await startProgram(...server, port))
  const held = stack.move()
  return { port, log: running.output, [Symbol.asyncDispose]: () => held.disposeAsync() }
}
