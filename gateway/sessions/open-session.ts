// What happens between the client's "connected" and the end: the proof of the inner name where one is due, then the relay.
import { Socket } from 'node:net'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import { AdaptedStream } from '../upstream/starttls/adapted-stream.ts'
import type { Preamble } from '../upstream/starttls/types.ts'
import type { UpstreamConnection } from '../upstream/types.ts'
import type { Cutting } from './cutting.ts'
import { InnerHello } from './inner-hello.ts'
import { startNameProof } from './name-proof.ts'
import { type RelayOptions, type RelayResult, startRelay } from './relay.ts'
import type { RelaySide } from './tunnel.ts'
import { resetSocket } from '../reset.ts'

export interface OpenSessionOptions {
  readonly destination: Destination
  /** Told of bytes that were read into memory which only V8 will free. */
  readonly onLeft?: (bytes: number) => void
  /** Takes what is left to do when the client is cut from outside. */
  readonly cutting?: Cutting
  /** How fast each direction may go. */
  readonly pace?: RelayOptions['pace']
  /** Null where nothing is left to prove: the gateway spoke TLS itself, nobody does, or the ClientHello was the request. */
  readonly proof: {
    /** Canonical: the host that was decided about and dialled. */
    readonly host: string
    readonly preamble: Preamble | null
    readonly timeoutMs: number
  } | null
}

export interface OpenSession {
  /** Settles once, when both sides are over. Never rejects. */
  readonly done: Promise<RelayResult>
  /** Bytes handed on so far: `sent` towards the upstream, `received` towards the client. */
  readonly bytes: { readonly sent: number; readonly received: number }
  /** By `performance.now()`: when a byte last moved, in either direction. */
  readonly lastActivityAt: number
  /**
   * Resets both sides with the reason given; a session that is over is left alone. True where this is what ended it: no
   * byte moves any more, though `done` comes later.
   */
  close(code: ReasonCode, detail?: string | null): boolean
}

interface Stage {
  readonly bytes: { readonly sent: number; readonly received: number }
  /** Missing where it moves nothing of the session itself. */
  readonly lastActivityAt?: number
  /** True where it is known that this ended it. */
  close(code: ReasonCode, detail: string | null): boolean
}

/** `upstream.facts` has the name from the moment in which it is proven. */
export function openSession(
  client: RelaySide,
  upstream: UpstreamConnection,
  options: OpenSessionOptions,
): OpenSession {
  return new StagedSession((onStage) => run(client, upstream, options, onStage))
}

/** A class, since an object literal with getters costs each session half a kibibyte more. */
class StagedSession implements OpenSession {
  readonly done: Promise<RelayResult>
  readonly #stages: Stage[] = []
  readonly #startedAt = performance.now()
  #closing: { readonly code: ReasonCode; readonly detail: string | null } | null = null

  constructor(start: (onStage: (stage: Stage) => void) => Promise<RelayResult>) {
    this.done = start((stage) => {
      this.#stages.push(stage)
      // Between a proof that is over and the relay there is nobody to close.
      if (this.#closing !== null) stage.close(this.#closing.code, this.#closing.detail)
    })
  }

  get bytes(): OpenSession['bytes'] {
    return { sent: this.#sum('sent'), received: this.#sum('received') }
  }

  get lastActivityAt(): number {
    return this.#stages.at(-1)?.lastActivityAt ?? this.#startedAt
  }

  close(code: ReasonCode, detail: string | null = null): boolean {
    this.#closing ??= { code, detail }
    return this.#stages.at(-1)?.close(code, detail) ?? false
  }

  #sum(key: 'sent' | 'received'): number {
    return this.#stages.reduce((total, { bytes }) => total + bytes[key], 0)
  }
}

async function run(
  client: RelaySide,
  upstream: UpstreamConnection,
  { destination, proof, pace, onLeft, cutting }: OpenSessionOptions,
  onStage: (stage: Stage) => void,
): Promise<RelayResult> {
  const side = new UpstreamSide(upstream)
  if (proof !== null) {
    const { timeoutMs, ...expected } = proof
    const hello = new InnerHello({ ...expected, destination })
    const options = { hello, timeoutMs, judgeUpstreamError: upstream.judgeLateError }
    const running = startNameProof(client, side, options)
    onStage(running)
    const result = await running.done
    if (!result.proven) return result.why
    if (result.serverName !== null) {
      upstream.facts.serverName = result.serverName
      upstream.facts.nameProof = 'client-hello'
    }
  }
  const relay = startRelay(client, side, {
    ...destination.session,
    now: () => performance.now(),
    judgeUpstreamError: upstream.judgeLateError,
    ...(pace === undefined ? {} : { pace }),
    ...(onLeft === undefined ? {} : { onLeft }),
    ...(cutting === undefined ? {} : { cutting }),
  })
  onStage(relay)
  return relay.done
}

class UpstreamSide implements RelaySide {
  readonly stream: RelaySide['stream']
  readonly chunks?: 'both'
  readonly #raw: UpstreamConnection['raw']

  constructor({ raw, stream }: UpstreamConnection) {
    // A translator of startTls takes a chunk before it is written.
    if (stream instanceof Socket) this.chunks = 'both'
    this.stream = stream
    this.#raw = raw
  }

  end(): void {
    this.stream.end()
  }

  reset(): void {
    resetSocket(this.#raw)
    if (this.stream instanceof AdaptedStream) this.stream.reset()
  }

  endIsReal(): boolean {
    return true
  }

  closeIsClean(): boolean {
    return this.stream.writableFinished
  }
}
