// A private MariaDB as Debian ships it, on loopback, which takes logins over TLS alone and each user by the subject of a
// client certificate. It refuses to run as root, so it runs as Debian's user mysql then.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { bareEnvironment } from './front-door.ts'

export const PASSWORD = 'of the database'

export interface MariaDb extends AsyncDisposable {
  readonly port: number
}

const USERS = ['payments', 'reports']
  .map(
    (name) => `create user ${name}@'%' identified by '${PASSWORD}' require subject '/CN=acme-${name}';
create user ${name}_ed@'%' identified via ed25519 using password('${PASSWORD}') require subject '/CN=acme-${name}';
grant all on orders.* to ${name}@'%';`,
  )
  .join('\n')

const INIT = `create database orders;
create table orders.lines (id int primary key, note varchar(50)) character set utf8mb4;
insert into orders.lines values (1, 'first'), (2, 'second');
${USERS}
`

async function asMysql(program: string, args: readonly string[]): Promise<readonly [string, string[]]> {
  if (process.getuid?.() !== 0) return [program, [...args]]
  const user = ['--reuid=mysql', '--regid=mysql', '--clear-groups', '--no-new-privs']
  return [await needProgram('setpriv'), [...user, program, ...args]]
}

async function succeed(program: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run(program, args, bareEnvironment(os.tmpdir()))
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`)
}

/** PEM texts: the server's chain and key, and the CA of its clients. */
export async function startMariaDb(tls: {
  readonly chain: string
  readonly key: string
  readonly ca: string
}): Promise<MariaDb> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-mariadb-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(path.join(directory, name), text, { mode: 0o600 })
    return path.join(directory, name)
  }
  const settings = {
    datadir: path.join(directory, 'data'),
    socket: path.join(directory, 's'),
    'pid-file': path.join(directory, 'pid'),
    'init-file': await file('init.sql', INIT),
    'plugin-load-add': 'auth_ed25519',
    'bind-address': '127.0.0.1',
    port: String(await freePort()),
    'innodb-buffer-pool-size': '16M',
    'innodb-flush-log-at-trx-commit': '0',
    'require-secure-transport': 'ON',
    'ssl-cert': await file('server.pem', tls.chain),
    'ssl-key': await file('server.key', tls.key),
    'ssl-ca': await file('ca.pem', tls.ca),
  }
  if (process.getuid?.() === 0) await succeed(await needProgram('chown'), ['-R', 'mysql:', directory])
  const make = [
    '--no-defaults',
    `--datadir=${settings.datadir}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]
  await succeed(...(await asMysql(await needProgram('mariadb-install-db'), make)))
  const options = Object.entries(settings).map(([name, value]) => `--${name}=${value}`)
  const server = await asMysql(await needProgram('mariadbd'), [
    '--no-defaults',
    '--skip-name-resolve',
    ...options,
  ])
  stack.use(await startProgram(...server, Number(settings.port)))
  const held = stack.move()
  return { port: Number(settings.port), [Symbol.asyncDispose]: () => held.disposeAsync() }
}
