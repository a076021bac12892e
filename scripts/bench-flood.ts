// `npm run bench:flood`: whether a live session of a gateway keeps its pace while somebody floods the port with handshakes.
// It asserts nothing; docs/listeners.md says what the limits are for.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import path from 'node:path'
import type tls from 'node:tls'
import { connect, connectTls } from '../test/fixtures/connect-client.ts'
import { realHello } from '../test/fixtures/client-hello.ts'
import { partnerDestination, startPartner } from '../test/fixtures/partner.ts'
import type { Issued } from '../test/fixtures/pki.ts'
import { createWorld, type World } from '../test/fixtures/world.ts'

const MIB = 1024 * 1024
const BULK_MIB = 512
const HANDSHAKES = 400
const PINGS = 400
const FLOODERS = 64

interface Running extends AsyncDisposable {
  readonly port: number
  /** User and system CPU seconds of the gateway so far. */
  cpu(): Promise<number>
}

async function startGatewayProcess(world: World, partnerPort: number): Promise<Running> {
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  const config = await world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
destinations:
${partnerDestination(partnerPort).replace('partner.test', 'partner.localhost')}
policy: {files: [policy.cedar]}
audit: {sink: file:audit.jsonl}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
  const main = path.resolve(import.meta.dirname, '../cli/main.ts')
  const child = spawn(process.execPath, [main, 'gateway', '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: world.directory,
  })
  const exited = new Promise((resolve) => child.on('close', resolve))
  let output = ''
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('"event":"ready"')) resolve()
    })
  })
  const portOf = (name: string) =>
    Number(new RegExp(`"listener":"${name}","address":"127\\.0\\.0\\.1:(\\d+)"`).exec(output)?.[1])
  return {
    port: portOf('proxy'),
    async cpu() {
      const text = await (await fetch(`http://127.0.0.1:${portOf('admin')}/metrics`)).text()
      return Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1])
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

function row(name: string, value: number, unit: string): void {
  process.stdout.write(`${name.padEnd(58)} ${value.toFixed(value < 10 ? 2 : 0).padStart(8)} ${unit}\n`)
}

interface Place {
  readonly world: World
  readonly gateway: Running
  readonly svid: Issued
  readonly target: string
}

async function open({ world, gateway, svid, target }: Place): Promise<tls.TLSSocket> {
  const { status, socket } = await connect(world, gateway.port, { svid, target })
  if (status !== 200) throw new Error(`the gateway answered ${status}`)
  return socket
}

/** Bytes up, echoed, and down again: each counts once in each direction. */
async function benchBulk(place: Place): Promise<void> {
  const socket = await open(place)
  const chunk = randomBytes(MIB)
  const before = await place.gateway.cpu()
  const startedAt = performance.now()
  let received = 0
  const done = new Promise<void>((resolve) => {
    socket.on('data', (part: Buffer) => {
      received += part.length
      if (received === BULK_MIB * MIB) resolve()
    })
    socket.resume()
  })
  for (let sent = 0; sent < BULK_MIB; sent++) {
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
  }
  await done
  const seconds = (performance.now() - startedAt) / 1000
  const cpu = (await place.gateway.cpu()) - before
  socket.destroy()
  row('one session, mTLS in and TLS out, echoed: each direction', BULK_MIB / seconds, 'MiB/s')
  row('CPU of the gateway for a GiB in one direction', (cpu / (2 * BULK_MIB)) * 1024, 's')
}

async function benchHandshakes({ world, gateway, svid }: Place): Promise<void> {
  const before = await gateway.cpu()
  const startedAt = performance.now()
  let left = HANDSHAKES
  const worker = async () => {
    while (left-- > 0) (await connectTls(world, gateway.port, { svid })).destroy()
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  const seconds = (performance.now() - startedAt) / 1000
  row('downstream handshakes, client on the same machine', HANDSHAKES / seconds, '/s')
  row('CPU of the gateway for one', (((await gateway.cpu()) - before) / HANDSHAKES) * 1000, 'ms')
}

/** Milliseconds of round trips through a live session. */
async function ping(socket: tls.TLSSocket): Promise<readonly number[]> {
  const times: number[] = []
  socket.resume()
  for (let count = 0; count < PINGS; count++) {
    const startedAt = performance.now()
    const back = new Promise((resolve) => socket.once('data', resolve))
    socket.write('ping')
    await back
    times.push(performance.now() - startedAt)
  }
  return times.toSorted((a, b) => a - b)
}

/** Opens connections as fast as it can and sends a whole ClientHello on each, so that the server signs for nothing. */
async function flood(port: number): Promise<AsyncDisposable & { readonly sent: () => number }> {
  const hello = await realHello()
  const stop = new AbortController()
  let sent = 0
  const one = async () => {
    while (!stop.signal.aborted) {
      await new Promise<void>((resolve) => {
        const socket = net.connect({ host: '127.0.0.1', port }, () => {
          sent += 1
          socket.write(hello)
        })
        // The server's first flight has come: that is what it costs.
        socket.on('data', () => socket.destroy())
        socket.on('error', () => {})
        socket.on('close', () => resolve())
      })
    }
  }
  const all = Array.from({ length: FLOODERS }, one)
  return {
    sent: () => sent,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(all)
    },
  }
}

async function benchFlood(place: Place): Promise<void> {
  const socket = await open(place)
  const report = (when: string, times: readonly number[]) => {
    row(`round trip of a live session, ${when}: median`, times[Math.floor(PINGS / 2)] ?? 0, 'ms')
    row(`round trip of a live session, ${when}: 99 of 100`, times[Math.floor(PINGS * 0.99)] ?? 0, 'ms')
  }
  report('quiet', await ping(socket))
  {
    await using attack = await flood(place.gateway.port)
    const startedAt = performance.now()
    report('in a flood of handshakes', await ping(socket))
    row('that flood: ClientHellos', attack.sent() / ((performance.now() - startedAt) / 1000), '/s')
  }
  socket.destroy()
}

await using world = await createWorld()
await using partner = await startPartner(world, (socket) => socket.pipe(socket), {
  name: 'partner.localhost',
})
await using gateway = await startGatewayProcess(world, partner.port)
const svid = await world.svid('/payments/api')
const place: Place = { world, gateway, svid, target: `partner.localhost:${partner.port}` }
await benchBulk(place)
await benchHandshakes(place)
await benchFlood(place)
