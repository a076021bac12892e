// What `sallyport diagnose` finds out, as data: the table and the JSON are two ways to show it.
import type { ReasonCode } from '../../gateway/audit/reasons.ts'
import type { ListenerConfig } from '../../gateway/config/types.ts'
import type { AddressVerdict } from '../../gateway/upstream/permit-trace.ts'
import type { AttemptTrace, UpstreamFacts } from '../../gateway/upstream/types.ts'
import type { SpiffeId } from '../../spiffe/id.ts'

/** In the order in which a session takes them. */
export const STEPS = [
  'listener',
  'destination',
  'revocations',
  'policy',
  'resolve',
  'address',
  'connect',
  'startTls',
  'name',
  'tls',
  'client certificate',
] as const
export type StepName = (typeof STEPS)[number]

export interface Step {
  readonly step: StepName
  /** `-`: not reached, or nothing to do here. */
  readonly result: 'ok' | 'no' | '-'
  readonly ms: number | null
  /** A line each. Words of a server are escaped and cut. */
  readonly notes: readonly string[]
}

/** What is asked, as a client of the gateway would. */
export interface Asked {
  readonly principal:
    | { readonly kind: 'workload'; readonly id: SpiffeId }
    | { readonly kind: 'network'; readonly name: string }
  /** Canonical. */
  readonly host: string
  readonly port: number
  readonly listener: ListenerConfig
  readonly sourceIp: string
  /** What the client would name in its own ClientHello; null = it is not tried. */
  readonly serverName: string | null
}

export interface ShownCertificate {
  readonly subject: string
  readonly issuer: string
  readonly names: string | null
  /** Lower-case hex. */
  readonly serialNumber: string
  /** ISO 8601. */
  readonly notBefore: string
  readonly notAfter: string
  readonly sha256: string
}

export interface ClientCertificate extends ShownCertificate {
  /** Of clientCertificates, from 0. */
  readonly entry: number
  /** Null where the handshake did not come so far. */
  readonly askedFor: boolean | null
}

export interface Diagnosis {
  readonly ok: boolean
  /** As an audit record would have it; null where it was reached. */
  readonly code: ReasonCode | null
  readonly detail: string | null
  /** One line: what to do. */
  readonly advice: string
  readonly asked: {
    readonly workload: string | null
    readonly network: string | null
    readonly host: string
    readonly port: number
    readonly listener: string
    readonly sourceIp: string
  }
  readonly destination: string | null
  readonly steps: readonly Step[]
  readonly addresses: readonly AddressVerdict[]
  readonly attempts: readonly AttemptTrace[]
  readonly clientCertificate: ClientCertificate | null
  /** Leaf first, with the issuers that were found, up to a root of the destination's. */
  readonly serverChain: readonly ShownCertificate[]
  readonly upstream: UpstreamFacts | null
}
