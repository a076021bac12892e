// The configuration and the policy that attempts are judged by now. Everything is replaced in one turn of the event loop,
// and an attempt is judged in one turn, so that none is judged by half of an old configuration and half of a new one.
import type { Revision } from '../audit/events.ts'
import type { Destination, GatewayConfig } from '../config/types.ts'
import type { DestinationStore } from '../destinations/store.ts'
import { createIdentifyNetwork, type IdentifyNetwork } from '../listeners/networks.ts'
import type { Policy } from '../policy/types.ts'
import type { TrustStore } from '../trust-store.ts'

export interface InForceOptions {
  readonly config: GatewayConfig
  readonly policy: Policy
  readonly trust: TrustStore
  readonly destinations: DestinationStore
}

export interface InForce {
  readonly config: () => GatewayConfig
  readonly revision: () => Revision
  /** Asks the one in force at each question. */
  readonly policy: Policy
  readonly identifyNetwork: IdentifyNetwork
  /** What is made of a part of the configuration, made anew when that part differs. */
  view<Part, Made>(part: (config: GatewayConfig) => Part, make: (part: Part) => Made): () => Made
  /** Called after each replacement. */
  onChange(listener: () => void): void
  replace(config: GatewayConfig, policy: Policy): void
}

export function createInForce({ trust, destinations, ...first }: InForceOptions): InForce {
  let current: Pick<InForceOptions, 'config' | 'policy'> = first
  const listeners: (() => void)[] = []
  const view: InForce['view'] = (part, make) => {
    let of = JSON.stringify(part(current.config))
    let made = make(part(current.config))
    let seen = current.config
    return () => {
      if (seen === current.config) return made
      seen = current.config
      const now = JSON.stringify(part(seen))
      if (now !== of) made = make(part(seen))
      of = now
      return made
    }
  }
  const identifyNetwork = view(({ networks }) => networks, createIdentifyNetwork)
  return {
    config: () => current.config,
    revision: () => ({ config: current.config.revision, policy: current.policy.revision }),
    policy: {
      get revision() {
        return current.policy.revision
      },
      decide: (question) => current.policy.decide(question),
      failure: () => current.policy.failure(),
    },
    identifyNetwork: (source) => identifyNetwork()(source),
    view,
    onChange: (listener) => void listeners.push(listener),
    replace(config, policy) {
      current = { config, policy }
      // Where the authority is yet to issue what this configuration wants, what is at hand stays till then.
      if (config.material !== null) trust.replace(config.material)
      destinations.replace(carryOver(destinations.current(), config.destinations))
      for (const listener of listeners) listener()
    },
  }
}

/**
 * The new destinations, where one is equal to what it was the old value itself: TLS sessions to resume and whatever else
 * is kept for a destination go on with it.
 */
export function carryOver(
  before: readonly Destination[],
  after: readonly Destination[],
): readonly Destination[] {
  const known = new Map(before.map((one) => [JSON.stringify(one), one]))
  // Keys print as [redacted], and belong to the certificates that are printed in full.
  return after.map((one) => known.get(JSON.stringify(one)) ?? one)
}
