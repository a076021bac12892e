// A private OpenLDAP as Debian ships it, on loopback, which wants StartTLS with a client certificate before anything else.
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { freePort, needProgram, startProgram } from '../fixtures/process.ts'

export interface Slapd extends AsyncDisposable {
  readonly port: number
}

export interface SlapdFiles {
  readonly certificate: string
  readonly key: string
  readonly ca: string
}

/** Where Debian's package slapd puts its modules, and its schemas. */
const MODULES = '/usr/lib/ldap'
const SCHEMA = '/etc/ldap/schema/core.schema'

export async function startSlapd({ certificate, key, ca }: SlapdFiles): Promise<Slapd> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-slapd-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  await mkdir(path.join(directory, 'data'))
  const port = await freePort()
  const config = path.join(directory, 'slapd.conf')
  await writeFile(
    config,
    `include ${SCHEMA}
pidfile ${directory}/pid
modulepath ${MODULES}
moduleload back_mdb
TLSCertificateFile ${certificate}
TLSCertificateKeyFile ${key}
TLSCACertificateFile ${ca}
TLSVerifyClient demand
security tls=128
database mdb
suffix "dc=test"
directory ${directory}/data
`,
  )
  // -d keeps it in the foreground.
  const args = ['-d', '0', '-f', config, '-h', `ldap://127.0.0.1:${port}`]
  stack.use(await startProgram(await needProgram('slapd'), args, port))
  const held = stack.move()
  return { port, [Symbol.asyncDispose]: () => held.disposeAsync() }
}
