// Where a walk has got to: the steps that were taken and what was found on the way. Steps that are never told stay `-`.
import { REASONS, type ReasonCode } from '../../gateway/audit/reasons.ts'
import { hintFor } from '../../gateway/audit/hint.ts'
import type { OwnNetwork } from '../../gateway/upstream/address-class.ts'
import { type AddressVerdict, verdicts } from '../../gateway/upstream/permit-trace.ts'
import type { UpstreamFacts, UpstreamTrace } from '../../gateway/upstream/types.ts'
import {
  type Asked,
  type ClientCertificate,
  type Diagnosis,
  type ShownCertificate,
  type Step,
  type StepName,
  STEPS,
} from './types.ts'

export class Journal {
  destination: string | null = null
  clientCertificate: ClientCertificate | null = null
  #serverChain: readonly ShownCertificate[] = []
  #upstream: UpstreamFacts | null = null
  #trace: UpstreamTrace | null = null
  readonly #asked: Asked
  readonly #network: OwnNetwork
  readonly #steps = new Map<StepName, Step>()

  constructor(asked: Asked, network: OwnNetwork) {
    this.#asked = asked
    this.#network = network
  }

  get serverChain(): readonly ShownCertificate[] {
    return this.#serverChain
  }

  get upstream(): UpstreamFacts | null {
    return this.#upstream
  }

  get trace(): UpstreamTrace | null {
    return this.#trace
  }

  get addresses(): readonly AddressVerdict[] {
    return this.#trace === null ? [] : verdicts(this.#trace, this.#network)
  }

  /** Leaf first. */
  sawServer(chain: readonly ShownCertificate[]): void {
    this.#serverChain = chain
  }

  /** What the way out has reached, whether it failed or not. */
  wentOut({ facts, trace }: { facts: UpstreamFacts | null; trace: UpstreamTrace | null }): void {
    this.#upstream = facts
    this.#trace = trace
    const own = this.clientCertificate
    if (own === null || facts === null) return
    const known = facts.tlsVersion !== null || facts.clientCertificateSha256 !== null
    this.clientCertificate = { ...own, askedFor: known ? facts.clientCertificateSha256 !== null : null }
  }

  tell(step: StepName, result: Step['result'], notes: readonly string[], ms: number | null = null): void {
    this.#steps.set(step, { step, result, ms, notes })
  }

  /** `advice` where more is known than the table of reason codes can say. */
  refused(code: ReasonCode, detail: string | null, advice: string | null = null): Diagnosis {
    const hint = advice ?? hintFor(code, this.destination)
    return {
      ok: false,
      code,
      detail,
      advice: hint ?? `${REASONS[code].meaning}; nothing is to be done here`,
      ...this.#rest(),
    }
  }

  reached(advice: string): Diagnosis {
    return { ok: true, code: null, detail: null, advice, ...this.#rest() }
  }

  #rest(): Omit<Diagnosis, 'ok' | 'code' | 'detail' | 'advice'> {
    const { principal, host, port, listener, sourceIp } = this.#asked
    const { destination, clientCertificate, serverChain, upstream, trace, addresses } = this
    return {
      asked: {
        workload: principal.kind === 'workload' ? principal.id.uri : null,
        network: principal.kind === 'network' ? principal.name : null,
        ...{ host, port, listener: listener.name, sourceIp },
      },
      destination,
      steps: STEPS.map((step) => this.#steps.get(step) ?? { step, result: '-', ms: null, notes: [] }),
      addresses,
      attempts: trace === null ? [] : trace.attempts,
      ...{ clientCertificate, serverChain, upstream },
    }
  }
}
