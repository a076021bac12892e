// The listeners of a gateway while its configuration changes: those that did not change are not touched, new ones are
// added, and those that are gone or differ take nothing new and end with their sessions. Either all of the new ones listen
// or everything is as it was before.
import { overlap } from '../config/rules.ts'
import type { HostPort, ListenerConfig } from '../config/types.ts'
import type { Listener } from '../listeners/listener.ts'

/** A listener, and what stands behind it alone. */
export interface StartedListener {
  readonly listener: Listener
  /** New requests on connections that are open are refused from here on. */
  refuse(): void
  /** Ends the sessions that came in by it. */
  closeSessions(): void
}

export interface ListenerSetOptions {
  /** Rejects with the system's error where it cannot listen. */
  readonly start: (config: ListenerConfig) => Promise<StartedListener>
  readonly onStarted: (name: string, address: HostPort) => void
  readonly onStopped: (name: string, address: HostPort) => void
}

interface Entry extends StartedListener {
  readonly config: ListenerConfig
}

/** New listeners that listen, and have taken nothing yet. */
export interface PreparedListeners {
  /**
   * Puts them in the place of the old ones, whose sessions have `deadlineMs` to end. To be called in the turn in which
   * `prepare` resolved: connections are taken from the next turn on.
   */
  commit(deadlineMs: number): void
}

export class ListenerSet {
  readonly #options: ListenerSetOptions
  #current: readonly Entry[] = []
  readonly #retired = new Map<Entry, NodeJS.Timeout>()

  constructor(options: ListenerSetOptions) {
    this.#options = options
  }

  /** Rejects with the system's error, with everything as it was before. */
  async prepare(configs: readonly ListenerConfig[]): Promise<PreparedListeners> {
    const kept = this.#current.filter(({ config }) => configs.some((next) => isSame(config, next)))
    const leaving = this.#current.filter((entry) => !kept.includes(entry))
    const added = configs.filter((next) => !kept.some(({ config }) => isSame(config, next)))
    // Two sockets cannot have one port, so whoever is on it must go first; all others are there before anybody goes.
    const inTheWay = leaving.filter(({ config }) =>
      added.some(({ address }) => overlap(config.address, address)),
    )
    const free = added.filter(
      ({ address }) => !inTheWay.some(({ config }) => overlap(config.address, address)),
    )
    const started = await this.#startAll(free)
    for (const { listener } of inTheWay) listener.drain()
    try {
      started.push(...(await this.#startAll(added.filter((config) => !free.includes(config)))))
    } catch (error) {
      await closeAll(started)
      await this.#restore(inTheWay)
      throw error
    }
    return { commit: (deadlineMs) => this.#commit(configs, kept, leaving, started, deadlineMs) }
  }

  /** Nothing new is taken by any. */
  drain(): void {
    for (const { listener } of this.#current) listener.drain()
  }

  /** Cuts everything that is left. */
  async close(): Promise<void> {
    for (const timer of this.#retired.values()) clearTimeout(timer)
    await closeAll([...this.#current, ...this.#retired.keys()])
    this.#retired.clear()
  }

  #commit(
    configs: readonly ListenerConfig[],
    kept: readonly Entry[],
    leaving: readonly Entry[],
    started: readonly Entry[],
    deadlineMs: number,
  ): void {
    for (const entry of leaving) this.#retire(entry, deadlineMs)
    const inPlace = (config: ListenerConfig) =>
      [...kept, ...started].find((entry) => isSame(entry.config, config))
    this.#current = configs.map(inPlace).filter((entry) => entry !== undefined)
    for (const { config, listener } of started) this.#options.onStarted(config.name, listener.address)
  }

  #retire(entry: Entry, deadlineMs: number): void {
    const { listener, config } = entry
    entry.refuse()
    listener.drain()
    this.#options.onStopped(config.name, listener.address)
    const timer = setTimeout(() => {
      entry.closeSessions()
      this.#retired.delete(entry)
      void listener.close()
    }, deadlineMs)
    timer.unref()
    this.#retired.set(entry, timer)
  }

  /** None of them is left where one cannot start. */
  async #startAll(configs: readonly ListenerConfig[]): Promise<Entry[]> {
    const results = await Promise.allSettled(
      configs.map(async (config) => ({ config, ...(await this.#options.start(config)) })),
    )
    const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed === undefined) return started
    await closeAll(started)
    throw failed.reason
  }

  /** What had made room for others that could not start. A port that is lost meanwhile is lost, and the error says so. */
  async #restore(stopped: readonly Entry[]): Promise<void> {
    const back = await this.#startAll(stopped.map(({ config }) => config))
    for (const entry of stopped) this.#retire(entry, 0x7fff_ffff)
    this.#current = this.#current.map((entry) => {
      return stopped.includes(entry) ? (back.find(({ config }) => config === entry.config) ?? entry) : entry
    })
    for (const { config, listener } of back) this.#options.onStarted(config.name, listener.address)
  }
}

function isSame(a: ListenerConfig, b: ListenerConfig): boolean {
  return a.fingerprint === b.fingerprint
}

async function closeAll(entries: readonly Entry[]): Promise<void> {
  await Promise.all(entries.map(({ listener }) => listener.close()))
}
