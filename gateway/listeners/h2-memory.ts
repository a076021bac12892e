// The cap on what HTTP/2 tunnels hold of bytes that one side has sent and the other does not read, over all listeners.
// Windows bound each stream, and their product over all connections is more than any process has. Past the cap the
// connections with the fullest streams get a small window (RFC 9113 §6.9.2: that of a full stream becomes negative, so its
// client waits until it is read), and the old one again when half is free. Nothing is lost and nobody is cut off, but for
// clients that do not confirm their settings.
import http2 from 'node:http2'

export interface H2MemoryOptions {
  readonly capBytes: number
  readonly intervalMs?: number
  readonly settingsTimeoutMs?: number
}

export interface H2Member {
  readonly session: Pick<http2.ServerHttp2Session, 'settings' | 'destroy' | 'destroyed'>
  /** What all its streams hold now. */
  held(): number
}

export interface H2Memory {
  /** For the first SETTINGS of a new connection. */
  readonly windowBytes: number
  /** What is held now, over all connections. */
  readonly heldBytes: number
  add(member: H2Member): void
  remove(member: H2Member): void
  /** A connection holds so many more; looks at once where that may be too much. */
  grew(bytes: number): void
  close(): void
}

/** ztunnel's 4 MiB a stream would let one client park 400 MiB in our heap: a paused stream holds its full window. */
const WINDOW_BYTES = 256 * 1024
/** A stream still moves so much in a round trip, so that nobody who reads is stopped for others' sake. */
const SMALL_WINDOW_BYTES = 16 * 1024
const INTERVAL_MS = 250
/** Between two looks, however fast what is held grows: each asks every stream. */
const LEAST_MS = 10
/** A client that does not confirm SETTINGS for so long keeps its old window (RFC 9113 §6.5.3). */
const SETTINGS_TIMEOUT_MS = 10_000

export function createH2Memory(options: H2MemoryOptions): H2Memory {
  return new CappedMemory(options)
}

class CappedMemory implements H2Memory {
  readonly #options: H2MemoryOptions
  /** Those with a small window, and those with their own. */
  readonly #small = new Set<H2Member>()
  readonly #full = new Set<H2Member>()
  #timer: NodeJS.Timeout | null = null
  #soon: NodeJS.Timeout | null = null
  /** At the last look, and what came since. */
  #held = 0
  #pressed = false

  constructor(options: H2MemoryOptions) {
    this.#options = options
  }

  get windowBytes(): number {
    return this.#pressed ? SMALL_WINDOW_BYTES : WINDOW_BYTES
  }

  get heldBytes(): number {
    return sum(this.#small) + sum(this.#full)
  }

  add(member: H2Member): void {
    const members = this.#pressed ? this.#small : this.#full
    members.add(member)
    this.#timer ??= setInterval(() => this.#look(), this.#options.intervalMs ?? INTERVAL_MS).unref()
  }

  remove(member: H2Member): void {
    this.#small.delete(member)
    this.#full.delete(member)
    if (this.#small.size + this.#full.size > 0) return
    this.close()
    this.#held = 0
    this.#pressed = false
  }

  grew(bytes: number): void {
    this.#held += bytes
    if (this.#held <= this.#options.capBytes || this.#soon !== null) return
    this.#soon = setTimeout(() => {
      this.#soon = null
      this.#look()
    }, LEAST_MS).unref()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    if (this.#soon !== null) clearTimeout(this.#soon)
    this.#timer = null
    this.#soon = null
  }

  #look(): void {
    const { capBytes } = this.#options
    this.#held = this.heldBytes
    if (this.#held > capBytes) {
      this.#pressed = true
      this.#squeeze()
    } else if (this.#pressed && this.#held < capBytes / 2) {
      this.#pressed = false
      for (const member of this.#small) this.#give(member, WINDOW_BYTES)
      for (const member of this.#small) this.#full.add(member)
      this.#small.clear()
    }
  }

  /** The fullest first, until those that keep their windows hold no more than a quarter of the cap. */
  #squeeze(): void {
    const fullest = [...this.#full].map((member) => ({ member, held: member.held() }))
    fullest.sort((a, b) => b.held - a.held)
    let left = sum(this.#full)
    for (const { member, held } of fullest) {
      if (left <= this.#options.capBytes / 4) return
      left -= held
      this.#full.delete(member)
      this.#small.add(member)
      this.#give(member, SMALL_WINDOW_BYTES)
    }
  }

  #give({ session }: H2Member, initialWindowSize: number): void {
    if (session.destroyed) return
    const timer = setTimeout(
      () =>
        session.destroy(new Error('SETTINGS were not confirmed'), http2.constants.NGHTTP2_SETTINGS_TIMEOUT),
      this.#options.settingsTimeoutMs ?? SETTINGS_TIMEOUT_MS,
    ).unref()
    session.settings({ initialWindowSize }, () => clearTimeout(timer))
  }
}

function sum(members: ReadonlySet<H2Member>): number {
  let held = 0
  for (const member of members) held += member.held()
  return held
}
