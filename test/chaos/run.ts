// One chaos run: a gateway, its clients, services and operator; rounds of traffic from one seed, each with a rest at its end in
// which everything must have come to nothing; a drain in the midst of sessions; and the reckoning.
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Operator } from './changes.ts'
import { checkChain } from './chain.ts'
import { checkOutcome, checkRecords, checkSession, pair, tell } from './checks.ts'
import { type Crew, runJunk, runSession, runTunnels } from './clients.ts'
import { startGatewayProcess } from './gateway-process.ts'
import { Ledger } from './ledger.ts'
import { Planner, type Operation, type SessionPlan } from './plan.ts'
import type { Held } from './probe.ts'
import { checkMemory, checkRest } from './rest.ts'
import { createScene } from './scene.ts'
import { startServers } from './servers.ts'

export interface ChaosOptions {
  readonly seed: number
  /** Of traffic, warm-up not included. */
  readonly rounds: number
  readonly roundMs: number
  /** Milliseconds between two operations of clients, by and large; of the operator. */
  readonly everyMs: number
  readonly changeEveryMs: number
  readonly say: (line: string) => void
}

export interface ChaosResult {
  /** Empty where all is well. */
  readonly faults: readonly string[]
  readonly sessions: number
  readonly connections: number
  readonly records: number
  readonly bytes: number
  /** How often each reason code came. */
  readonly codes: Readonly<Record<string, number>>
  readonly changes: Readonly<Record<string, number>>
  /** After the warm-up and after each round. */
  readonly held: readonly Held[]
  /** The last operations, for whoever looks for the cause. */
  readonly last: readonly string[]
}

const LAST = 30
/** How long it may take until nothing is open any more. */
const REST_MS = 60_000
/** The same for an operation that was begun: no life is longer, no change takes so long. */
const SETTLE_MS = 60_000

/** Runs to the end; rejects only where it could not begin. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const ledger = new Ledger()
  await using scene = await createScene((world) => startServers(world, ledger))
  await using gateway = await startGatewayProcess(path.join(scene.world.directory, 'gateway.yaml'))
  const run = new Run({ scene, gateway, ledger }, options)
  await run.all()
  return run.result()
}

class Run {
  readonly #crew: Crew
  readonly #options: ChaosOptions
  readonly #operator: Operator
  readonly #planner: Planner
  readonly #faults: string[] = []
  readonly #held: Held[] = []
  readonly #last: string[] = []
  readonly #running = new Map<Promise<void>, Operation>()
  #steps = 0
  #drainedAt = Number.POSITIVE_INFINITY
  #bytes = 0

  constructor(crew: Crew, options: ChaosOptions) {
    this.#crew = crew
    this.#options = options
    this.#operator = new Operator(crew)
    this.#planner = new Planner(options.seed)
  }

  async all(): Promise<void> {
    const { rounds, say } = this.#options
    // The first is the warm-up: caches fill, code is compiled.
    for (let round = 0; round <= rounds && this.#faults.length === 0; round++) {
      await this.#round()
      await this.#rest()
      this.#held.push(await this.#crew.gateway.held())
      say(this.#progress(round))
    }
    this.#faults.push(...checkMemory(this.#held))
    await this.#drain()
    this.#reckon()
    const { scene, gateway } = this.#crew
    this.#faults.push(...(await checkChain(scene.world.directory, gateway.lines)))
  }

  result(): ChaosResult {
    const { ledger, gateway } = this.#crew
    const codes: Record<string, number> = {}
    for (const event of gateway.events)
      if (event.event === 'session') codes[event.outcome.code] = (codes[event.outcome.code] ?? 0) + 1
    return {
      faults: [...this.#faults, ...this.#operator.faults, ...ledger.faults],
      sessions: ledger.sessions.length,
      connections: ledger.connections.length,
      records: gateway.closed.size,
      bytes: this.#bytes,
      codes,
      changes: Object.fromEntries(this.#operator.done),
      held: this.#held,
      last: this.#last,
    }
  }

  async #round(): Promise<void> {
    const { roundMs, everyMs, changeEveryMs } = this.#options
    const steps = this.#planner.round({ ms: roundMs, everyMs, changeEveryMs })
    const begun = performance.now()
    for (const { atMs, operation } of steps) {
      const ahead = begun + atMs - performance.now()
      if (ahead > 0) await wait(ahead)
      this.#start(operation)
    }
    await this.#settle()
  }

  #start(operation: Operation): void {
    this.#note(operation)
    const done = this.#carryOut(operation).finally(() => this.#running.delete(done))
    this.#running.set(done, operation)
  }

  /** Until all that was begun is over. */
  async #settle(): Promise<void> {
    const over = Promise.all(this.#running.keys()).then(() => true)
    if (await Promise.race([over, wait(SETTLE_MS, false, { ref: false })])) return
    for (const operation of this.#running.values())
      this.#faults.push(`is not over after ${SETTLE_MS / 1000} s: ${shown(operation)}`)
  }

  async #carryOut(operation: Operation): Promise<void> {
    const crew = this.#crew
    if (operation.kind === 'session') return runSession(crew, operation)
    if (operation.kind === 'tunnels') return runTunnels(crew, operation)
    if (operation.kind === 'junk') return runJunk(crew, operation.how)
    return this.#operator.change(operation)
  }

  #note(operation: Operation): void {
    this.#steps += 1
    this.#last.push(`${this.#steps} ${new Date().toISOString()} ${shown(operation)}`)
    if (this.#last.length > LAST) this.#last.shift()
  }

  /** Until nothing is open and every record is there. */
  async #rest(): Promise<void> {
    const end = Date.now() + REST_MS
    for (;;) {
      const wrong = await this.#restless()
      if (wrong.length === 0) return
      if (Date.now() > end || !this.#crew.gateway.running()) {
        this.#faults.push(...wrong, ...(await this.#left()))
        return
      }
      await wait(100)
    }
  }

  /** What the gateway has open that is over for everybody else. */
  async #left(): Promise<readonly string[]> {
    const { gateway, ledger } = this.#crew
    if (!gateway.running()) return []
    const { sessions } = (await gateway.ask('GET', '/sessions')) as { sessions: readonly Left[] }
    return sessions.map((left) => {
      const connection = ledger.connections.find(({ port }) => port === left.source.port)
      return `left open: ${JSON.stringify(left)}: ${connection?.sessions.map((one) => tell(one)).join(' | ')}`
    })
  }

  async #restless(): Promise<readonly string[]> {
    const { gateway, scene, ledger } = this.#crew
    const { events } = gateway
    const samples = await gateway.samples()
    return checkRest({ samples, events, ledger, liveServers: scene.servers.live.size })
  }

  /** SIGTERM while sessions live and others come. */
  async #drain(): Promise<void> {
    const { gateway } = this.#crew
    const steps = this.#planner.round({ ms: 1_500, everyMs: 30, changeEveryMs: 1_000_000 })
    for (let count = 0; count < 12; count++) this.#start(LONG)
    const begun = performance.now()
    for (const { atMs, operation } of steps) {
      const ahead = begun + atMs - performance.now()
      if (ahead > 0) await wait(ahead)
      if (operation.kind === 'session' || operation.kind === 'tunnels' || operation.kind === 'junk')
        this.#start(operation)
      if (atMs > 500 && this.#drainedAt === Number.POSITIVE_INFINITY) {
        this.#drainedAt = Date.now()
        gateway.signal('SIGTERM')
      }
    }
    const code = await Promise.race([gateway.exited, wait(REST_MS).then(() => 'nothing')])
    if (code !== 0)
      this.#faults.push(`the gateway ended with ${code} after SIGTERM: ${gateway.stderr().slice(-2_000)}`)
    await this.#settle()
  }

  #reckon(): void {
    const { ledger, gateway } = this.#crew
    const { windows } = this.#operator
    const times = { drainedAt: this.#drainedAt }
    const { paired, faults } = pair(ledger, gateway.events)
    this.#faults.push(...checkRecords(gateway.events), ...faults)
    for (const one of paired) this.#faults.push(...checkSession(one), ...checkOutcome(one, windows, times))
    this.#bytes = paired.reduce((total, { record }) => total + record.bytes.sent + record.bytes.received, 0)
    const closed = gateway.events.filter(
      (event) => event.event === 'session' && event.outcome.code === 'session-closed-by-operator',
    ).length
    if (closed > this.#operator.closedByOperator)
      this.#faults.push(
        `${closed} sessions were closed by the operator, who closed ${this.#operator.closedByOperator}`,
      )
    for (const event of gateway.events)
      if (event.event === 'session' && event.outcome.code === 'session-internal-error')
        this.#faults.push(`${event.id} ended with a fault of the gateway: ${gateway.stderr().slice(-2_000)}`)
  }

  #progress(round: number): string {
    const { ledger, gateway } = this.#crew
    const { heap, external, resident } = this.#held.at(-1) ?? { heap: 0, external: 0, resident: 0 }
    const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)
    return `${round === 0 ? 'warm-up' : `round ${round}`}: ${ledger.sessions.length} sessions, ${ledger.connections.length} connections, ${gateway.closed.size} records; holds ${mib(heap)} MiB of objects and ${mib(external)} of buffers, resident ${mib(resident)}`
  }
}

interface Left {
  readonly source: { readonly port: number }
}

const SCRIPT = { bytes: 4_000, chunk: 40, pauseMs: 50, read: 'fast', finish: 'end' } as const
const PLAN: SessionPlan = {
  workload: 'steady',
  place: 'tls',
  client: SCRIPT,
  server: SCRIPT,
  lifeMs: 20_000,
  abandonMs: null,
}
const LONG: Operation = { kind: 'session', protocol: 'h1', plan: PLAN }

function shown(operation: Operation): string {
  const line = JSON.stringify(operation)
  return line.length > 400 ? `${line.slice(0, 400)}…` : line
}
