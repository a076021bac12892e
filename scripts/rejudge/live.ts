// What a change costs a gateway with open sessions: tunnels over HTTP/2, with their sockets, records and all, through a
// process of its own, with the image's flags. In force is what its log says; closed is what a client sees, what a service
// sees, and what the audit says, all by the same clock.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import http2 from 'node:http2'
import net from 'node:net'
import path from 'node:path'
import { createWorld, type World } from '../../test/fixtures/world.ts'
import { heapFlags, imageEnvironment } from '../bench/image.ts'

export interface LiveCase {
  readonly workloads: number
  /** Each workload has a session with each, `sessionsEach` times. */
  readonly destinations: number
  readonly sessionsEach: number
  readonly policies: number
  /** Whether conditions read who asks and for what, so that each pair is a question of its own to the engine. */
  readonly apart: boolean
}

const STREAMS = 100
const IN_FORCE = '"msg":"a new configuration is in force"'
const workloadOf = (at: number) => `/team-${at}/service`
const hostOf = (at: number) => `d${at}.localhost`

/** One permit for each workload, the others for nobody who is there; `denied` many workloads are forbidden. */
function policyOf({ workloads, policies, destinations, apart }: LiveCase, denied: number): string {
  const pair = apart ? ' && (principal.path like "/team-*" || resource == Destination::"d0")' : ''
  const text = Array.from({ length: policies }, (_, at) => {
    if (at < denied) {
      return `@id("p${at}") forbid (principal == Workload::"spiffe://example.org${workloadOf(at)}", action, resource);`
    }
    const to = at < workloads ? 'resource' : `resource == Destination::"d${at % destinations}"`
    return `@id("p${at}") permit (principal in Path::"spiffe://example.org/team-${at}", action, ${to}) when { context.sourceIp.isInRange(ip("127.0.0.0/8"))${pair} };`
  })
  return text.join('\n')
}

async function configure(world: World, one: LiveCase, port: number): Promise<string> {
  await world.file('policy.cedar', policyOf(one, 0))
  await world.file('revocations.yaml', '[]')
  const destinations = Array.from(
    { length: one.destinations },
    (_, at) =>
      `  - {name: d${at}, hosts: [${hostOf(at)}], ports: [${port}], tls: opaque, allowAddresses: [127.0.0.0/8, "::1/128"]}`,
  )
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
destinations:
${destinations.join('\n')}
policy: {files: [policy.cedar]}
revocations: {source: "file:revocations.yaml"}
arrivals: {connections: 12000}
audit: {sink: file:audit.jsonl}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
}

class Running {
  readonly child: ChildProcess
  log = ''
  port = 0
  admin = 0

  constructor(config: string, cwd: string) {
    const root = path.resolve(import.meta.dirname, '../..')
    const watch = path.join(import.meta.dirname, 'loop-watch.ts')
    const main = [path.join(root, 'cli/main.ts'), 'gateway', '--config', config]
    const args = [...heapFlags(), '--import', watch, ...main]
    const env = { ...process.env, ...imageEnvironment() }
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd, env })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString()
    })
  }

  async ready(): Promise<void> {
    let output = ''
    await new Promise<void>((resolve, reject) => {
      this.child.on('exit', () => reject(new Error(this.log)))
      this.child.stdout?.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (output.includes('"event":"ready"')) resolve()
      })
    })
    const portOf = (name: string) =>
      Number(new RegExp(`"listener":"${name}","address":"127\\.0\\.0\\.1:(\\d+)"`).exec(output)?.[1])
    this.port = portOf('proxy')
    this.admin = portOf('admin')
  }

  async said(text: string, after: number): Promise<string> {
    for (;;) {
      const line = this.log
        .slice(after)
        .split('\n')
        .slice(0, -1)
        .find((one) => one.includes(text))
      if (line !== undefined) return line
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Resolves when nobody waits to be judged any more. */
  async judged(): Promise<void> {
    for (;;) {
      const text = await (await fetch(`http://127.0.0.1:${this.admin}/metrics`)).text()
      if (/^sallyport_sessions_waiting_judgement 0$/m.test(text)) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Since the last call. */
  async watched(): Promise<Watched> {
    const after = this.log.length
    this.child.kill('SIGUSR2')
    const line = await this.said('loopWatch', after)
    return (JSON.parse(line) as { loopWatch: Watched }).loopWatch
  }
}

/** By `Date.now()`: when the last one of each side was seen to end. */
interface LastEnds {
  client: number
  service: number
}

async function openAll(
  world: World,
  port: number,
  partner: number,
  one: LiveCase,
  last: LastEnds,
): Promise<() => void> {
  const connections: http2.ClientHttp2Session[] = []
  for (let workload = 0; workload < one.workloads; workload += 1) {
    const { chainPem: cert, keyPem: key } = await world.svid(workloadOf(workload))
    const targets = Array.from(
      { length: one.destinations * one.sessionsEach },
      (_, at) => at % one.destinations,
    )
    for (let from = 0; from < targets.length; from += STREAMS) {
      const options = { cert, key, ca: world.root.pem, servername: 'localhost' }
      const connection = http2.connect(`https://localhost:${port}`, options)
      connection.on('error', () => {})
      connections.push(connection)
      const opening = targets
        .slice(from, from + STREAMS)
        .map((at) => openOne(connection, `${hostOf(at)}:${partner}`, last))
      await Promise.all(opening)
    }
  }
  return () => {
    for (const connection of connections) connection.destroy()
  }
}

function openOne(connection: http2.ClientHttp2Session, authority: string, last: LastEnds): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = connection.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false })
    stream.on('error', () => {})
    stream.on('close', () => {
      last.client = Date.now()
    })
    stream.resume()
    stream.on('response', (headers) => {
      if (headers[':status'] === 200) resolve()
      else reject(new Error(`the gateway answered ${headers[':status']}`))
    })
  })
}

interface Watched {
  readonly longestMs: number
  readonly heldCpuMs: number
  readonly cpuMs: number
  /** At which moment how much of it had been used. */
  readonly used: readonly (readonly [at: number, cpuMs: number])[]
}

interface Ended {
  readonly closedAt: string
  readonly workload: string
  readonly outcome: { readonly code: string }
}

async function ended(world: World): Promise<readonly string[]> {
  const text = await readFile(path.join(world.directory, 'audit.jsonl'), 'utf8')
  return text.split('\n').filter((line) => line.startsWith('{"event":"session"'))
}

/** Polls until `count` more have ended. */
async function closed(world: World, before: number, count: number): Promise<readonly Ended[]> {
  for (;;) {
    const all = await ended(world)
    if (all.length >= before + count) return all.slice(before).map((line) => JSON.parse(line) as Ended)
    // Not oftener: this process shares the machine with the gateway.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}

const at = (one: Ended) => Date.parse(one.closedAt)

export async function measureLive(one: LiveCase): Promise<void> {
  await using world = await createWorld()
  const last: LastEnds = { client: 0, service: 0 }
  const onClose = () => {
    last.service = Date.now()
  }
  const partner = net.createServer((socket) =>
    socket
      .on('error', () => {})
      .on('close', onClose)
      .resume(),
  )
  await new Promise<void>((resolve) => partner.listen(0, '127.0.0.1', resolve))
  const { port } = partner.address() as net.AddressInfo
  const gateway = new Running(await configure(world, one, port), world.directory)
  await gateway.ready()
  const each = one.destinations * one.sessionsEach
  const sessions = one.workloads * each
  const hangUp = await openAll(world, gateway.port, port, one, last)
  const round = async (what: string, denied: number, code: string, change: () => Promise<string>) => {
    const before = (await ended(world)).length
    // Twice: the first one's own interval may have begun in the middle of what came before.
    await gateway.watched()
    await gateway.watched()
    const inForceAt = Date.parse((JSON.parse(await change()) as { time: string }).time)
    const gone = await closed(world, before, denied * each)
    await gateway.judged()
    const { longestMs, heldCpuMs, cpuMs, used } = await gateway.watched()
    if (gone.some(({ outcome }) => outcome.code !== code))
      throw new Error(`closed by something else than ${code}`)
    const end = Math.max(...gone.map(at))
    const after = (moment: number) => (gone.length === 0 ? null : moment - inForceAt)
    const usedBy = (moment: number) => used.find(([time]) => time >= moment)?.[1] ?? cpuMs
    const afterCpuMs = gone.length === 0 ? null : usedBy(end) - usedBy(inForceAt)
    const figures = {
      ...{ closed: gone.length, clientsMs: after(last.client), servicesMs: after(last.service) },
      ...{ recordsMs: after(end), recordsCpuMs: afterCpuMs, longestMs: Math.round(longestMs) },
      ...{ heldCpuMs: Math.round(heldCpuMs), cpuMs: Math.round(cpuMs) },
    }
    console.log(
      JSON.stringify({ live: sessions, policies: one.policies, apart: one.apart, what, ...figures }),
    )
  }
  const policy = (denied: number) => async () => {
    const after = gateway.log.length
    await world.file('policy.cedar', policyOf(one, denied))
    gateway.child.kill('SIGHUP')
    return gateway.said(IN_FORCE, after)
  }
  await round('policy that closes none', 0, '', async () => {
    const after = gateway.log.length
    await world.file('policy.cedar', `${policyOf(one, 0)}\n// again`)
    gateway.child.kill('SIGHUP')
    return gateway.said(IN_FORCE, after)
  })
  await round('policy that closes one workload', 1, 'policy-denied', policy(1))
  await round('policy that closes the rest', one.workloads - 1, 'policy-denied', policy(one.workloads))
  hangUp()
  gateway.child.kill('SIGTERM')
  await new Promise((resolve) => gateway.child.on('close', resolve))
  partner.close()
}
