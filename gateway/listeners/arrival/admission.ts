// Who may take up the process before anybody is known: connections at once for each source, and handshakes at work at
// one time over all listeners. Fair to sources, bounded in every direction, and quick to say no: what cannot be taken
// soon is refused now (design promise 9). A source is an address, of IPv6 its /64, which one host has as a whole.
import ipaddr from 'ipaddr.js'

export interface AdmissionLimits {
  /** Open connections, over all listeners. */
  readonly connections: number
  /** Open connections of one source. */
  readonly connectionsPerSource: number
  /** Handshakes at work: the server's first flight is sent and the client's last is awaited. */
  readonly handshakes: number
  /** Of these, for one source. */
  readonly handshakesPerSource: number
  /** Handshakes that wait, over all sources. */
  readonly waiting: number
  /** Of these, for one source. */
  readonly waitingPerSource: number
  /** Handshakes begun in one turn of the event loop: each costs a signature, and live relays wait for it. */
  readonly startsPerTurn: number
}

export const DEFAULT_LIMITS: AdmissionLimits = {
  connections: Number.POSITIVE_INFINITY,
  connectionsPerSource: 8192,
  handshakes: 512,
  handshakesPerSource: 256,
  waiting: 4096,
  waitingPerSource: 2048,
  startsPerTurn: 2,
}

export interface Admission {
  /** False where as many connections are open as may be; true must be followed by one `close`. Before anything is read. */
  open(): boolean
  close(): void
  /** False where this source has as many as it may; true must be followed by one `leave`. */
  enter(source: string): boolean
  leave(source: string): void
  /** Calls `begin` when a handshake may start, maybe at once; false where there is no room to wait. */
  queue(waiter: HandshakeWaiter): boolean
  /** The handshake is over, or nobody waits for it any more. */
  done(waiter: HandshakeWaiter): void
  readonly state: { readonly working: number; readonly waiting: number; readonly sources: number }
}

export interface HandshakeWaiter {
  readonly source: string
  readonly begin: () => void
}

interface Source {
  connections: number
  working: number
  readonly waiting: Set<HandshakeWaiter>
}

/** The name under which a source is counted. */
export function sourceKey(ip: string): string {
  if (!ip.includes(':') || !ipaddr.isValid(ip)) return ip
  const address = ipaddr.process(ip)
  if (!(address instanceof ipaddr.IPv6)) return address.toString()
  return `${address.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

export function createAdmission(limits: AdmissionLimits = DEFAULT_LIMITS): Admission {
  return new FairAdmission(limits)
}

class FairAdmission implements Admission {
  readonly #limits: AdmissionLimits
  readonly #sources = new Map<string, Source>()
  /** Sources with somebody waiting, the next to be served first. A Set keeps the order of insertion. */
  readonly #turns = new Set<Source>()
  readonly #working = new Set<HandshakeWaiter>()
  #connections = 0
  #waiting = 0
  #started = 0
  #scheduled = false

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  get state(): { working: number; waiting: number; sources: number } {
    return { working: this.#working.size, waiting: this.#waiting, sources: this.#sources.size }
  }

  open(): boolean {
    if (this.#connections >= this.#limits.connections) return false
    this.#connections += 1
    return true
  }

  close(): void {
    this.#connections -= 1
  }

  enter(name: string): boolean {
    const source = this.#source(name)
    if (source.connections >= this.#limits.connectionsPerSource) {
      this.#forget(name, source)
      return false
    }
    source.connections += 1
    return true
  }

  leave(name: string): void {
    const source = this.#source(name)
    source.connections -= 1
    this.#forget(name, source)
  }

  queue(waiter: HandshakeWaiter): boolean {
    const source = this.#source(waiter.source)
    const { waiting, waitingPerSource } = this.#limits
    if (this.#waiting >= waiting || source.waiting.size >= waitingPerSource) {
      this.#forget(waiter.source, source)
      return false
    }
    source.waiting.add(waiter)
    this.#turns.add(source)
    this.#waiting += 1
    this.#pump()
    return true
  }

  done(waiter: HandshakeWaiter): void {
    const source = this.#source(waiter.source)
    if (this.#working.delete(waiter)) source.working -= 1
    else if (source.waiting.delete(waiter)) {
      this.#waiting -= 1
      if (source.waiting.size === 0) this.#turns.delete(source)
    }
    this.#forget(waiter.source, source)
    this.#pump()
  }

  #source(name: string): Source {
    const known = this.#sources.get(name)
    if (known !== undefined) return known
    const made: Source = { connections: 0, working: 0, waiting: new Set() }
    this.#sources.set(name, made)
    return made
  }

  #forget(name: string, source: Source): void {
    if (source.connections === 0 && source.working === 0 && source.waiting.size === 0)
      this.#sources.delete(name)
  }

  /** Starts what may start in this turn of the event loop; the rest is looked at in the next. */
  #pump(): void {
    while (this.#started < this.#limits.startsPerTurn) {
      const next = this.#next()
      if (next === null) break
      this.#started += 1
      next.begin()
    }
    // Where nothing could start, only the end of a handshake changes that.
    if (this.#scheduled || this.#started === 0) return
    this.#scheduled = true
    // After the poll phase, in which relays move their bytes: that is what keeps their pace in a flood.
    setImmediate(() => {
      this.#scheduled = false
      this.#started = 0
      if (this.#turns.size > 0) this.#pump()
    })
  }

  /** One waiter of the source whose turn it is. */
  #next(): HandshakeWaiter | null {
    if (this.#working.size >= this.#limits.handshakes) return null
    for (const source of this.#turns) {
      if (source.working >= this.#limits.handshakesPerSource) continue
      const [waiter] = source.waiting
      if (waiter === undefined) continue
      source.waiting.delete(waiter)
      this.#waiting -= 1
      // To the end of the line, if it has more.
      this.#turns.delete(source)
      if (source.waiting.size > 0) this.#turns.add(source)
      source.working += 1
      this.#working.add(waiter)
      return waiter
    }
    return null
  }
}
