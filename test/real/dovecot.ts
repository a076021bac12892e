// A private Dovecot as Debian ships it, on loopback: IMAP and POP3 that want STARTTLS with a client certificate, and take
// the user's name from it, so that a login shows whose certificate was presented.
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'

export const PASSWORD = 'of the mailbox'

export interface Dovecot extends AsyncDisposable {
  readonly imapPort: number
  readonly pop3Port: number
  log(): Promise<string>
}

export interface DovecotFiles {
  readonly certificate: string
  readonly key: string
  readonly ca: string
}

export async function startDovecot({ certificate, key, ca }: DovecotFiles): Promise<Dovecot> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-dovecot-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  await run('/bin/chmod', ['755', directory])
  await mkdir(path.join(directory, 'mail'))
  await run('/bin/chown', ['mail:mail', path.join(directory, 'mail')])
  const [imapPort, pop3Port] = [await freePort(), await freePort()]
  const users = ['acme-payments', 'acme-reports'].map((name) => `${name}:{PLAIN}${PASSWORD}::::::\n`).join('')
  await writeFile(path.join(directory, 'users'), users)
  const log = path.join(directory, 'log')
  const config = path.join(directory, 'dovecot.conf')
  await writeFile(
    config,
    `protocols = imap pop3
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${log}
listen = 127.0.0.1
ssl = required
ssl_cert = <${certificate}
ssl_key = <${key}
ssl_ca = <${ca}
ssl_require_crl = no
ssl_verify_client_cert = yes
auth_ssl_require_client_cert = yes
auth_ssl_username_from_cert = yes
auth_mechanisms = plain login
disable_plaintext_auth = yes
mail_location = maildir:${directory}/mail/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = passwd-file
  args = ${directory}/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${directory}/mail/%u
}
service imap-login {
  inet_listener imap { 
    port = ${imapPort}
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = ${pop3Port}
  }
  inet_listener pop3s {
    port = 0
  }
}
`,
  )
  stack.use(await startProgram(await needProgram('dovecot'), ['-F', '-c', config], imapPort))
  const held = stack.move()
  return {
    imapPort,
    pop3Port,
    log: () => readFile(log, 'utf8'),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
