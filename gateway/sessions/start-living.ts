// Joins the live sessions to what they are judged by: each store of it tells of a change, and the sessions are judged again.
import type { DestinationStore } from '../destinations/store.ts'
import type { InForce } from '../reload/in-force.ts'
import type { RevocationStore } from '../revocations/store.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { TrustStore } from '../trust-store.ts'
import { createJudgeAgain, type JudgeAgainOptions } from './judge-again.ts'
import { Living } from './living.ts'
import { SessionRegistry } from './registry.ts'
import { Renewals } from './renewals.ts'

export interface StartLivingOptions
  extends Omit<JudgeAgainOptions, 'renewals' | 'policy' | 'identifyNetwork' | 'revoked'> {
  readonly inForce: InForce
  readonly trust: TrustStore
  readonly destinations: DestinationStore
  readonly revocations: RevocationStore
  readonly metrics: Pick<Metrics, 'judgedAgain' | 'sampleJudging'>
  readonly onInternalError: (error: unknown, sessionId: string) => void
  /** From 0 to 1. */
  readonly random: () => number
}

export interface LivingSessions {
  readonly registry: SessionRegistry
  readonly renewals: Renewals
  readonly living: Living
}

export function startLiving(options: StartLivingOptions): LivingSessions {
  const { inForce, trust, destinations, revocations, metrics } = options
  const registry = new SessionRegistry()
  const renewals = new Renewals()
  const judge = createJudgeAgain({
    ...options,
    ...{ renewals, policy: inForce.policy, identifyNetwork: inForce.identifyNetwork },
    revoked: (asked) => revocations.find(asked),
  })
  const onJudged = (result: 'kept' | 'closed') => metrics.judgedAgain(result)
  const living = new Living({ ...options, registry, renewals, judge, onJudged })
  metrics.sampleJudging(() => living.waiting)
  const changed = () => living.changed()
  inForce.onChange(changed)
  trust.onChange(changed)
  destinations.onChange(changed)
  revocations.onChange(({ added }) => living.revoked(added))
  return { registry, renewals, living }
}
