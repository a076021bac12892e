// The very Dockerfile, built by podman on a base made here, and the gateway in it as ECS runs it: nobody, read-only, without
// capabilities, under Node's permission model.
import { spawn } from 'node:child_process'
import { chmod, cp, mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { buildAll } from '../../scripts/deployed.ts'
import { freePort, run } from '../fixtures/process.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { AS_IN_ECS, build, createPodman, type Podman } from './podman.ts'

const IMAGE = 'localhost/sallyport-gateway:test'

let podman: Podman
let world: World

/** The context that `npm run build` makes. */
async function makeContext(): Promise<string> {
  const dist = path.join(world.directory, 'dist')
  await mkdir(dist)
  await buildAll(dist)
  return path.join(dist, 'deploy/image')
}

beforeAll(async () => {
  world = await createWorld()
  podman = await createPodman()
  await build(podman, IMAGE, await makeContext())
}, 600_000)

afterAll(async () => {
  await podman?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
}, 120_000)

/** A folder that the container's user may read, as a secret would be mounted. */
async function writeConfiguration(ports: { health: number; proxy: number }): Promise<string> {
  const folder = path.join(world.directory, `etc-${ports.proxy}`)
  await cp(path.join(world.directory, 'pki'), path.join(folder, 'pki'), { recursive: true })
  const name = path.basename(folder)
  await world.file(
    `${name}/gateway.yaml`,
    `version: 1
trustDomain: example.org
identity: { files: { certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem } }
listeners: [{ name: proxy, address: "127.0.0.1:${ports.proxy}", protocol: connect }]
destinations: [{ name: partner, hosts: [partner.test], ports: [443] }]
policy: { files: [policy.cedar] }
health: { address: "127.0.0.1:${ports.health}" }
admin: { address: "127.0.0.1:0" }
drain: { delay: 0s, deadline: 2s }
`,
  )
  await world.file(`${name}/policy.cedar`, '@id("none") forbid (principal, action, resource);\n')
  await run('/bin/chmod', ['-R', 'a+rX', folder])
  await chmod(world.directory, 0o755)
  return folder
}

function start(folder: string, ...options: readonly string[]) {
  const mount = ['--volume', `${folder}:/etc/sallyport:ro`]
  const command = ['--config', '/etc/sallyport/gateway.yaml']
  const args = [...podman.store, '--runtime', 'runc', ...AS_IN_ECS, ...mount, ...options, IMAGE, ...command]
  const child = spawn(podman.program, args, { env: podman.env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (part: Buffer) => (output += String(part)))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  return { output: () => output, exited }
}

test('it starts, is ready, runs as nobody without a capability, and ends in order', async () => {
  const ports = { health: await freePort(), proxy: await freePort() }
  const name = `sallyport-${ports.proxy}`
  const running = start(await writeConfiguration(ports), '--name', name)
  await vi.waitFor(() => expect(running.output()).toContain('"event":"ready"'), {
    timeout: 60_000,
    interval: 200,
  })
  expect((await fetch(`http://127.0.0.1:${ports.health}/readyz`)).status).toBe(200)
  expect(running.output()).toContain('has known faults')
  const { stdout } = await podman.run('inspect', '--format', '{{.State.Pid}}', name)
  const status = await readFile(`/proc/${stdout.trim()}/status`, 'utf8')
  expect(status).toMatch(/^Uid:\s+65532\s+65532/m)
  expect(status).toMatch(/^CapEff:\s+0+$/m)
  expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
  expect(await readFile(`/proc/${stdout.trim()}/maps`, 'utf8')).toContain('/usr/local/lib/libjemalloc.so.2')
  expect(await ticketsOf(ports.proxy)).toBe(0)
  await podman.run('kill', '--signal', 'TERM', name)
  expect(await running.exited).toBe(0)
}, 120_000)

/** Session tickets of a connection that is answered; OpenSSL by itself sends two. */
async function ticketsOf(port: number): Promise<number> {
  const socket = tls.connect({ port, ca: world.root.pem, servername: 'localhost', minVersion: 'TLSv1.3' })
  let tickets = 0
  socket.on('session', () => tickets++)
  socket.write('CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test:443\r\n\r\n')
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 403 /)
  return tickets
}

test('in ECS it does not start on a Node with known faults', async () => {
  const ports = { health: await freePort(), proxy: await freePort() }
  const marked = ['--env', 'ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/abc']
  const running = start(await writeConfiguration(ports), ...marked)
  expect(await running.exited).toBe(1)
  expect(running.output()).toMatch(/refused in ECS/)
}, 120_000)

/** Flags of Node that the image gives it. */
async function permissions(): Promise<readonly string[]> {
  const { stdout } = await podman.run(
    'inspect',
    '--type',
    'image',
    '--format',
    '{{json .Config.Entrypoint}}',
    IMAGE,
  )
  return (JSON.parse(stdout) as string[]).filter((part) => part.startsWith('--'))
}

/** What comes of each piece of code: `done`, or the code of its error. One container: a start takes seconds. */
async function attempt(flags: readonly string[], pieces: Readonly<Record<string, string>>): Promise<unknown> {
  const script = Object.entries(pieces).map(
    ([name, code]) =>
      `try { ${code}; told[${JSON.stringify(name)}] = 'done' } catch (e) { told[${JSON.stringify(name)}] = e.code }`,
  )
  const program = `const told = {}; ${script.join('; ')}; console.log(JSON.stringify(told))`
  const args = ['--runtime', 'runc', ...AS_IN_ECS, '--entrypoint', 'node', IMAGE, ...flags, '-e', program]
  return JSON.parse((await podman.run(...args)).stdout)
}

const PIECES = {
  'read a file that is none of its own': "require('fs').readFileSync('/etc/passwd')",
  'start a program': "require('child_process').execFileSync('/bin/true')",
  'start a worker': "new (require('worker_threads').Worker)('1', { eval: true }).terminate()",
  'write into its own code': "require('fs').writeFileSync('/app/gateway.js', '')",
  'write what it knew last': "require('fs').writeFileSync('/var/lib/sallyport/known', '')",
  'read its limits': "require('fs').readFileSync('/proc/self/limits')",
}

test('the permission model leaves the process its own files, and no program or worker', async () => {
  expect(await attempt(await permissions(), PIECES)).toEqual({
    'read a file that is none of its own': 'ERR_ACCESS_DENIED',
    'start a program': 'ERR_ACCESS_DENIED',
    'start a worker': 'ERR_ACCESS_DENIED',
    'write into its own code': 'ERR_ACCESS_DENIED',
    'write what it knew last': 'done',
    'read its limits': 'done',
  })
}, 120_000)

test('without the model nothing can be written but its state all the same', async () => {
  const told = await attempt([], PIECES)
  expect(told).toMatchObject({ 'start a program': 'done', 'write what it knew last': 'done' })
  expect(told).toMatchObject({ 'write into its own code': expect.stringMatching(/EROFS|EACCES/) })
}, 120_000)
