// What happens between the client's "connected" and the end: the proof of the inner name where one is due, then the relay.
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import { AdaptedStream } from '../upstream/starttls/adapted-stream.ts'
import type { Preamble } from '../upstream/starttls/types.ts'
import type { UpstreamConnection } from '../upstream/types.ts'
import { InnerHello } from './inner-hello.ts'
import { startNameProof } from './name-proof.ts'
import { type RelayOptions, type RelayResult, startRelay } from './relay.ts'
import type { RelaySide } from './tunnel.ts'
import { resetConnection } from '../reset-connection.ts'

export interface OpenSessionOptions {
  readonly destination: Destination
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
  /** Resets both sides with the reason given; a session that is over is left alone. */
  close(code: ReasonCode, detail?: string | null): void
}

interface Stage {
  readonly bytes: { readonly sent: number; readonly received: number }
  /** Missing where it moves nothing of the session itself. */
  readonly lastActivityAt?: number
  close(code: ReasonCode, detail: string | null): void
}

/** `upstream.facts` has the name from the moment in which it is proven. */
export function openSession(
  client: RelaySide,
  upstream: UpstreamConnection,
  options: OpenSessionOptions,
): OpenSession {
  const stages: Stage[] = []
  const startedAt = performance.now()
  let closing: { readonly code: ReasonCode; readonly detail: string | null } | null = null
  const sum = (key: 'sent' | 'received') => stages.reduce((total, { bytes }) => total + bytes[key], 0)
  return {
    done: run(client, upstream, options, (stage) => {
      stages.push(stage)
      // Between a proof that is over and the relay there is nobody to close.
      if (closing !== null) stage.close(closing.code, closing.detail)
    }),
    get bytes() {
      return { sent: sum('sent'), received: sum('received') }
    },
    get lastActivityAt() {
      return stages.at(-1)?.lastActivityAt ?? startedAt
    },
    close(code, detail = null) {
      closing ??= { code, detail }
      stages.at(-1)?.close(code, detail)
    },
  }
}

async function run(
  client: RelaySide,
  upstream: UpstreamConnection,
  { destination, proof, pace }: OpenSessionOptions,
  onStage: (stage: Stage) => void,
): Promise<RelayResult> {
  const side = sideOf(upstream)
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
  })
  onStage(relay)
  return relay.done
}

function sideOf({ raw, stream }: UpstreamConnection): RelaySide {
  return {
    stream,
    end: () => stream.end(),
    reset: () => {
      resetConnection(raw)
      if (stream instanceof AdaptedStream) stream.reset()
    },
    endIsReal: () => true,
    closeIsClean: () => stream.writableFinished,
  }
}
