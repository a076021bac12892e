// Debian's Chromium, headless, with a HOME of its own: its NSS database has the roots and an SVID, and a managed policy lets
// it show that to the gateway without asking. Such policies are read from one folder of the machine, so this needs root;
// the file there has a name of its own and is removed again.
import { mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Issued } from '../fixtures/pki.ts'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import type { World } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'

const POLICIES = '/etc/chromium/policies/managed'
const MAX_SECONDS = '60'
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
]

export interface Chromium extends AsyncDisposable {
  /** The DOM of a page that was fetched through the gateway. */
  fetch(url: string): Promise<Ran>
}

async function succeed(program: string, args: readonly string[], home: string): Promise<void> {
  const { code, stdout, stderr } = await run(program, args, bareEnvironment(home))
  if (code !== 0) throw new Error(`${program} ${args[0]} failed: ${stdout}${stderr}`)
}

async function makeDatabase(world: World, home: string, svid: Issued): Promise<void> {
  const certutil = await needProgram('certutil')
  const directory = path.join(home, '.pki/nssdb')
  await mkdir(directory, { recursive: true })
  const database = ['-d', `sql:${directory}`]
  await succeed(certutil, ['-N', ...database, '--empty-password'], home)
  for (const name of ['bundle', 'partner-ca']) {
    const file = path.join(world.directory, `pki/${name}.pem`)
    await succeed(certutil, ['-A', ...database, '-n', name, '-t', 'C,,', '-i', file], home)
  }
  const chain = path.join(home, 'svid.pem')
  const key = path.join(home, 'svid.key')
  const packed = path.join(home, 'svid.p12')
  await writeFile(chain, svid.chainPem)
  await writeFile(key, svid.keyPem, { mode: 0o600 })
  const pack = ['pkcs12', '-export', '-in', chain, '-inkey', key, '-out', packed, '-passout', 'pass:test']
  await succeed(await needProgram('openssl'), pack, home)
  await succeed(await needProgram('pk12util'), ['-i', packed, ...database, '-W', 'test'], home)
}

/** Up to and with `top`. */
async function removeEmpty(folder: string, top: string): Promise<void> {
  await rmdir(folder).catch(() => undefined)
  if (folder.length > top.length) await removeEmpty(path.dirname(folder), top)
}

/** A policy by which the one certificate is shown to the gateway. */
async function writePolicy(gatewayPort: number): Promise<AsyncDisposable> {
  if (process.getuid?.() !== 0) {
    throw new Error(`chromium shows a client certificate by a policy in ${POLICIES}: needs root`)
  }
  await using stack = new AsyncDisposableStack()
  const made = await mkdir(POLICIES, { recursive: true })
  // What somebody else has put beside it stays.
  if (made !== undefined) stack.defer(() => removeEmpty(POLICIES, made))
  const file = path.join(POLICIES, `sallyport-test-${process.pid}-${gatewayPort}.json`)
  const entry = { pattern: `https://localhost:${gatewayPort}`, filter: {} }
  await writeFile(file, JSON.stringify({ AutoSelectCertificateForUrls: [JSON.stringify(entry)] }))
  stack.defer(() => rm(file, { force: true }))
  return stack.move()
}

export async function prepareChromium(world: World, gatewayPort: number, svid: Issued): Promise<Chromium> {
  const chromium = await needProgram('chromium')
  const timeout = await needProgram('timeout')
  await using stack = new AsyncDisposableStack()
  const home = await mkdtemp(path.join(os.tmpdir(), 'sallyport-chromium-'))
  stack.defer(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))
  await makeDatabase(world, home, svid)
  stack.use(await writePolicy(gatewayPort))
  const proxy = [`--proxy-server=https://localhost:${gatewayPort}`, '--proxy-bypass-list=<-loopback>']
  const held = stack.move()
  return {
    fetch: (url) =>
      run(
        timeout,
        // Its helpers are in the same process group, which `timeout` ends as a whole.
        [
          '--kill-after=5',
          MAX_SECONDS,
          chromium,
          ...FLAGS,
          ...proxy,
          `--user-data-dir=${home}/profile`,
          '--dump-dom',
          url,
        ],
        bareEnvironment(home),
      ),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
