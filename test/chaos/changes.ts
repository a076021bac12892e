// The operator: changes what the gateway goes by while sessions live, waits until a client can tell, and notes when which
// workload or destination was hit by what, so that an end that nothing explains is found.
import { setTimeout as wait } from 'node:timers/promises'
import type { Issued } from '../fixtures/pki.ts'
import { type Crew, runSession } from './clients.ts'
import { printOfDer } from './print.ts'
import type { Change, Fault, Operation, Place, Script, Workload } from './plan.ts'

/** From `from` to `until` sessions of this workload, or to this place, may end by one of `codes`. */
export interface Window {
  readonly change: Change
  readonly workload: Workload | null
  readonly place: Place | null
  readonly codes: readonly string[]
  readonly from: number
  /** Between these two moments nothing that is hit may open. */
  inForce: number | null
  undone: number | null
  until: number | null
}

const PATIENCE_MS = 60_000
const LOOK_MS = 30

/** Each kind of source by itself, in turn; different ones change at the same time. */
type Source = 'configuration' | 'revocations' | 'trust' | 'partner' | 'operator'

const SOURCE: Readonly<Record<Change, Source>> = {
  deny: 'configuration',
  withdraw: 'configuration',
  good: 'configuration',
  bad: 'configuration',
  revoke: 'revocations',
  'revoke-serial': 'revocations',
  distrust: 'trust',
  'rotate-gateway': 'trust',
  'rotate-partner': 'partner',
  'close-workload': 'operator',
  'close-one': 'operator',
}

/** The last where the roots came back between the handshake and the look at its certificate. */
const UNTRUSTED = ['session-trust-removed', 'client-certificate-untrusted', 'client-certificate-refused']

export class Operator {
  readonly windows: Window[] = []
  readonly faults: string[] = []
  readonly done = new Map<Change, number>()
  /** Sessions that the gateway said it closed. */
  closedByOperator = 0
  readonly #crew: Crew
  readonly #queues = new Map<Source, Promise<void>>()

  constructor(crew: Crew) {
    this.#crew = crew
  }

  /** Resolves when it is done and taken back; never rejects. */
  async change(operation: Extract<Operation, { kind: Change }>): Promise<void> {
    const source = SOURCE[operation.kind]
    const turn = (this.#queues.get(source) ?? Promise.resolve()).then(async () => {
      try {
        await this.#carryOut(operation)
        this.done.set(operation.kind, (this.done.get(operation.kind) ?? 0) + 1)
      } catch (error) {
        this.faults.push(`${operation.kind}: ${error instanceof Error ? error.message : String(error)}`)
      }
    })
    this.#queues.set(source, turn)
    await turn
  }

  async #carryOut({ kind, forMs, fault }: Extract<Operation, { kind: Change }>): Promise<void> {
    const { scene } = this.#crew
    const { state } = scene
    switch (kind) {
      case 'deny':
        return this.#hit({ kind, forMs, workload: 'denied', codes: ['policy-denied'] }, async (on) => {
          state.denied = on
          await this.#policy()
        })
      case 'withdraw':
        return this.#hit(
          { kind, forMs, place: 'spare', codes: ['destination-unknown', 'session-destination-changed'] },
          async (on) => {
            state.spare = !on
            await this.#configuration()
          },
        )
      case 'revoke':
        return this.#revoke({ kind, forMs, entry: 'workload: "spiffe://example.org/revoked"' })
      case 'revoke-serial':
        return this.#revoke({ kind, forMs, entry: `serialNumber: "${serialOf(scene.svids.revoked)}"` })
      case 'distrust':
        return this.#hit({ kind, forMs, workload: 'rooted', codes: UNTRUSTED }, async (on) => {
          state.rooted = !on
          await scene.writeBundle()
        })
      case 'close-workload':
      case 'close-one':
        return this.#close(kind)
      case 'rotate-gateway':
        return this.#rotateGateway()
      case 'rotate-partner':
        return this.#rotatePartner()
      case 'good':
        state.revision += 1
        return this.#configuration()
      case 'bad':
        return this.#bad(fault, forMs)
      default:
        return kind satisfies never
    }
  }

  async #policy(): Promise<void> {
    const { scene, gateway } = this.#crew
    scene.state.revision += 1
    await scene.writePolicy()
    gateway.signal('SIGHUP')
  }

  /** Changed and taken, as the admin port says. */
  async #configuration(): Promise<void> {
    const { scene, gateway } = this.#crew
    scene.state.revision += 1
    const before = await this.#status()
    await scene.writeConfig()
    gateway.signal('SIGHUP')
    await until('a good configuration was not taken', async () => {
      const { revision, fault } = await this.#status()
      return fault === null && revision.config !== before.revision.config
    })
  }

  async #status(): Promise<Status> {
    return (await this.#crew.gateway.ask('GET', '/config')) as Status
  }

  /** A fault is reported and replaces nothing; mended, it is gone. */
  async #bad(fault: Fault, forMs: number): Promise<void> {
    const { scene, gateway } = this.#crew
    const before = await this.#status()
    if (fault === 'policy')
      await scene.write('policy.cedar', '@id("x") permit (principal, action, resource);')
    else await scene.write('gateway.yaml', BAD[fault])
    gateway.signal('SIGHUP')
    await until(
      `a bad configuration (${fault}) was not reported`,
      async () => (await this.#status()).fault !== null,
    )
    await wait(forMs)
    const meanwhile = await this.#status()
    if (
      meanwhile.revision.config !== before.revision.config ||
      meanwhile.revision.policy !== before.revision.policy
    )
      throw new Error('a bad configuration replaced a good one')
    await scene.writePolicy()
    await scene.writeConfig()
    gateway.signal('SIGHUP')
    await until('a mended configuration was not taken', async () => (await this.#status()).fault === null)
  }

  async #revoke({ kind, forMs, entry }: { kind: Change; forMs: number; entry: string }): Promise<void> {
    const { scene } = this.#crew
    const { revoked } = scene.state
    const codes = ['revoked-workload', 'revoked-certificate']
    await this.#hit({ kind, forMs, workload: 'revoked', codes }, async (on) => {
      if (on) revoked.add(entry)
      else revoked.delete(entry)
      await scene.writeRevocations()
    })
  }

  /** Makes the change, waits until it is in force and has closed what it must, keeps it for a while, and takes it back. */
  async #hit(hit: Hit, turn: (on: boolean) => Promise<void>): Promise<void> {
    const { kind, codes, workload = null, place = null, forMs } = hit
    const window: Window = {
      ...{ change: kind, workload, place, codes, from: Date.now(), inForce: null, undone: null, until: null },
    }
    this.windows.push(window)
    await turn(true)
    await until(`${kind} was not put in force`, async () => (await this.#trial(hit)) === 403)
    window.inForce = Date.now()
    await until(
      `${kind}: sessions that are not allowed any more live on`,
      async () => (await this.#live(hit)) === 0,
    )
    await wait(forMs)
    window.undone = Date.now()
    await turn(false)
    await until(`${kind} was not taken back`, async () => (await this.#trial(hit)) === 200)
    window.until = Date.now()
  }

  /** What a client of this kind is told now. */
  async #trial({ workload = 'steady', place = 'tls' }: Hit): Promise<number | null> {
    const script: Script = { bytes: 0, chunk: 1, pauseMs: 0, read: 'fast', finish: 'end' }
    const { ledger } = this.#crew
    const plan = { workload, place, client: script, server: script, lifeMs: PATIENCE_MS, abandonMs: null }
    const before = ledger.sessions.length
    await runSession(this.#crew, { kind: 'session', protocol: 'h1', plan })
    return ledger.sessions.slice(before).find((session) => session.plan === plan)?.status ?? null
  }

  async #live({ workload, place }: Hit): Promise<number> {
    const filter =
      workload === undefined ? `destination=${place}` : `workload=spiffe://example.org/${workload}`
    const { total } = (await this.#crew.gateway.ask('GET', `/sessions?${filter}`)) as { total?: number }
    // A destination that is gone has no sessions and no name.
    return total ?? 0
  }

  async #close(kind: 'close-workload' | 'close-one'): Promise<void> {
    const { gateway } = this.#crew
    const window: Window = {
      ...{ change: kind, workload: 'closed', place: null, codes: ['session-closed-by-operator'] },
      ...{ from: Date.now(), inForce: null, undone: null, until: null },
    }
    this.windows.push(window)
    const filter = '/sessions?workload=spiffe://example.org/closed'
    if (kind === 'close-workload') this.#count(await gateway.ask('DELETE', filter))
    else {
      const { sessions } = (await gateway.ask('GET', filter)) as { sessions: readonly { id: string }[] }
      const [first] = sessions
      if (first !== undefined) this.#count(await gateway.ask('DELETE', `/sessions/${first.id}`))
    }
    window.until = Date.now() + 1_000
  }

  #count(answer: unknown): void {
    this.closedByOperator += (answer as { closed?: number }).closed ?? 0
  }

  /** Until a client sees the new certificate. */
  async #rotateGateway(): Promise<void> {
    const { scene, ledger } = this.#crew
    const fresh = printOfDer((await scene.rotateGateway()).certificate.rawData)
    await until('a renewed certificate of the gateway is not shown', async () => {
      const from = ledger.connections.length
      await this.#trial({ kind: 'rotate-gateway', forMs: 0, codes: [] })
      return ledger.connections.slice(from).some(({ shown }) => shown === fresh)
    })
  }

  /** Until a server sees the new certificate. */
  async #rotatePartner(): Promise<void> {
    const { scene, ledger } = this.#crew
    const issued = await scene.rotatePartner()
    const fresh = printOfDer(issued.certificate.rawData)
    await until('a renewed client certificate is not presented', async () => {
      const from = ledger.sessions.length
      await this.#trial({ kind: 'rotate-partner', forMs: 0, codes: [], place: 'mtls' })
      return ledger.sessions.slice(from).some(({ presented }) => presented === fresh)
    })
  }
}

interface Hit {
  readonly kind: Change
  readonly forMs: number
  readonly workload?: Workload
  readonly place?: Place
  readonly codes: readonly string[]
}

interface Status {
  readonly revision: { readonly config: string; readonly policy: string }
  readonly fault: object | null
}

const BAD: Readonly<Record<Exclude<Fault, 'policy'>, string>> = {
  yaml: 'version: 1\nlisteners: [{\n',
  'unknown-key': 'version: 1\ntrustDomain: example.org\nlisteners: []\ndestinatoins: []\n',
  'missing-file':
    'version: 1\ntrustDomain: example.org\nidentity: {files: {certificate: gone.pem, key: gone.key, bundle: gone.pem}}\n',
}

/** Lower-case hexadecimal, two digits a byte. */
function serialOf({ certificate }: Issued): string {
  return certificate.serialNumber.toLowerCase()
}

async function until(fault: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + PATIENCE_MS
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(fault)
    await wait(LOOK_MS)
  }
}
