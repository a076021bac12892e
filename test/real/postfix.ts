// A private Postfix as Debian ships it, on loopback: submission that wants STARTTLS with a client certificate, writes to its
// log which one it saw, and discards the mail.
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { bareEnvironment } from './front-door.ts'

export interface Postfix extends AsyncDisposable {
  readonly port: number
  /** Its log so far, with a line for each mail and each certificate. */
  log(): Promise<string>
}

export interface PostfixFiles {
  /** The key and the chain in one file. */
  readonly both: string
  readonly ca: string
}

const SERVICES = [
  'cleanup unix n - n - 0 cleanup',
  'qmgr unix n - n 300 1 qmgr',
  'rewrite unix - - n - - trivial-rewrite',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'discard unix - - n - - discard',
  'tlsmgr unix - - n 1000? 1 tlsmgr',
  'anvil unix - - n - 1 anvil',
  'proxymap unix - - n - - proxymap',
  'postlog unix-dgram n - n - 1 postlogd',
]

export async function startPostfix({ both, ca }: PostfixFiles): Promise<Postfix> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-postfix-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  await run('/bin/chmod', ['755', directory])
  for (const name of ['etc', 'queue', 'data']) await mkdir(path.join(directory, name))
  await run('/bin/chown', ['postfix', path.join(directory, 'data')])
  const port = await freePort()
  const log = path.join(directory, 'log')
  await writeFile(
    path.join(directory, 'etc/main.cf'),
    `compatibility_level=3.6
queue_directory=${directory}/queue
data_directory=${directory}/data
myhostname=partner.test
inet_interfaces=127.0.0.1
inet_protocols=ipv4
mydestination=partner.test
alias_maps=
alias_database=
local_recipient_maps=
maillog_file=${log}
maillog_file_prefixes=${directory}
local_transport=discard
default_transport=discard
smtpd_tls_chain_files=${both}
smtpd_tls_CAfile=${ca}
smtpd_tls_security_level=encrypt
smtpd_tls_ask_ccert=yes
smtpd_tls_req_ccert=yes
smtpd_tls_received_header=yes
smtpd_tls_loglevel=2
`,
  )
  await writeFile(
    path.join(directory, 'etc/master.cf'),
    `127.0.0.1:${port} inet n - n - - smtpd\n${SERVICES.join('\n')}\n`,
  )
  const env = bareEnvironment(os.tmpdir())
  const postfix = await needProgram('postfix')
  // In the foreground, and as the leader of a group of its own, as its master wants it.
  const args = ['-c', path.join(directory, 'etc'), 'start-fg']
  stack.defer(async () => void (await run(postfix, ['-c', path.join(directory, 'etc'), 'stop'], env)))
  stack.use(await startProgram(postfix, args, port))
  const held = stack.move()
  return {
    port,
    log: () => readFile(log, 'utf8'),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
