// What is kept of a live session: by what it was judged, so that the question of its opening can be asked again, and how
// far it has come. Thousands of them live at once: what several have in common is one value that they share.
import type { SourceFacts } from '../audit/events.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import type { Identified } from '../listeners/identify.ts'
import type { ServerProof } from '../upstream/server-proof.ts'
import type { UpstreamConnection, UpstreamFacts } from '../upstream/types.ts'

interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface Grounds {
  readonly listener: string
  readonly source: SourceFacts
  readonly identity: Identified
  readonly requested: Endpoint
  /** What policy was asked about and what was dialled. */
  readonly target: Endpoint
  /** The client's own ClientHello was the request. */
  readonly passthrough: boolean
  /** That hello was encrypted, or pretended to be. */
  readonly ech: boolean
  /** The one that it was last judged by. */
  readonly destination: Destination
  /** Null until the way out is open. */
  readonly upstream: UpstreamGrounds | null
}

export interface UpstreamGrounds {
  readonly facts: UpstreamFacts
  /** Null where the gateway speaks no TLS to the service. */
  readonly tls: {
    /** The chosen entry of `clientCertificates`; null = none. Not the entry itself, which holds a key. */
    readonly entry: { readonly source: string; readonly sha256: string } | null
    /** Null where nothing is known of the server's certificate. */
    readonly server: ServerProof | null
  } | null
}

export interface LiveSession {
  readonly id: string
  readonly openedAt: Date
  /** Replaced by who judges it anew. */
  grounds: Grounds
  readonly bytes: { readonly sent: number; readonly received: number }
  /** By `performance.now()`: when it last moved a byte. */
  readonly lastActivityAt: number
  /** It was cut and has its closing record: it is nobody's session any more, and is kept until its rest is cleared away. */
  readonly over: boolean
  /** Ends it with the reason given; one that is over is left alone. */
  close(code: ReasonCode, detail?: string | null): void
}

/** What a live session is told by; missing = it does not relay yet. */
interface Moving {
  readonly bytes: LiveSession['bytes']
  readonly lastActivityAt: number
}

const NO_BYTES = { sent: 0, received: 0 }
const notAnyMore = (): null => null

/** A class, since an object literal with getters costs each session half a kibibyte more. */
export class RunningSession implements LiveSession {
  readonly id: string
  readonly openedAt: Date
  grounds: Grounds
  over = false
  #moving: () => Moving | null
  #end: (code: ReasonCode, detail: string | null) => void

  constructor(
    { id, openedAt, grounds }: Pick<LiveSession, 'id' | 'openedAt' | 'grounds'>,
    moving: () => Moving | null,
    end: (code: ReasonCode, detail: string | null) => void,
  ) {
    this.id = id
    this.openedAt = openedAt
    this.grounds = grounds
    this.#moving = moving
    this.#end = end
  }

  get bytes(): LiveSession['bytes'] {
    return this.#moving()?.bytes ?? NO_BYTES
  }

  get lastActivityAt(): number {
    return this.#moving()?.lastActivityAt ?? performance.now()
  }

  close(code: ReasonCode, detail: string | null = null): void {
    this.#end(code, detail)
  }

  /**
   * Of one that has ended and is in nobody's hands: lets go of all that moved its bytes. V8 may take the session itself for
   * alive for long: whenever a map that is old makes itself a new table, as a small one does every few entries, it leaves the
   * one before, with all that was in it, to the next collection of the whole heap. Where sessions are opened one by one that
   * is nothing, and up to half of what each leaves where many are opened at a time.
   */
  letGo(): void {
    this.#moving = notAnyMore
    this.#end = notAnyMore
  }
}

export function upstreamGrounds({ facts, proven }: UpstreamConnection): UpstreamGrounds {
  if (proven === null) return { facts, tls: null }
  const { entry, server } = proven
  const chosen = entry === null ? null : { source: entry.source, sha256: entry.keyPair.leafSha256 }
  return { facts, tls: { entry: chosen, server } }
}

/** `spiffe://…`, or `network:` and its name. */
export function principalOf({ identity: { principal } }: Pick<Grounds, 'identity'>): string {
  return principal.kind === 'workload' ? principal.id.uri : `network:${principal.name}`
}
