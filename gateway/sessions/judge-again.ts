// The question of a session's opening, asked again with the facts that were kept (design §4, Re-judging): is all of it
// allowed today? A pure function of those facts and of what is in force now; it ends nothing itself.
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import { reachable } from '../destinations/match.ts'
import type { IdentifyNetwork } from '../listeners/networks.ts'
import type { Policy } from '../policy/types.ts'
import { describeRevocation, type RevocationQuestion, type Revoked } from '../revocations/list.ts'
import { permit, type Surroundings } from '../upstream/permit.ts'
import { addressOf } from '../upstream/starttls/layer.ts'
import { UpstreamError } from '../upstream/types.ts'
import { judgeDestination } from './judge-destination.ts'
import { type CurrentTrust, createJudgeIdentity } from './judge-identity.ts'
import { type Grounds, principalOf } from './live-session.ts'
import type { Renewals } from './renewals.ts'

export interface Refusal {
  readonly code: ReasonCode
  readonly detail: string | null
}

export interface Verdict {
  /** Null where the session stays. */
  readonly refusal: Refusal | null
  /** The first moment at which the answer may be another by time alone; null = never. */
  readonly recheckAt: Date | null
  /** By which it was judged; null where there is none any more. */
  readonly destination: Destination | null
}

export interface JudgeAgainOptions {
  readonly now: () => Date
  readonly match: (host: string, port: number) => Destination | null
  readonly revoked: (question: RevocationQuestion) => Revoked | null
  readonly policy: Pick<Policy, 'decide'>
  readonly trustOf: CurrentTrust
  readonly identifyNetwork: IdentifyNetwork
  readonly surroundings: () => Surroundings
  readonly renewals: Pick<Renewals, 'livesUntil'>
}

export interface JudgeAgain {
  judge(grounds: Grounds): Verdict
  /** Forgets what was worked out for several sessions at once; to be called when anything has changed. */
  fresh(): void
}

export function createJudgeAgain(options: JudgeAgainOptions): JudgeAgain {
  const identity = createJudgeIdentity(options)
  let permitted = new WeakMap<Destination, Map<string, Refusal | null>>()
  const judgeAddress = (grounds: Grounds, destination: Destination): Refusal | null => {
    const endpoint = grounds.upstream?.facts.address ?? null
    if (endpoint === null) return null
    const known = permitted.get(destination) ?? new Map<string, Refusal | null>()
    permitted.set(destination, known)
    const before = known.get(endpoint)
    if (before !== undefined) return before
    const found = refuseAddress(endpoint, grounds.target.port, destination, options.surroundings())
    known.set(endpoint, found)
    return found
  }
  return {
    fresh() {
      permitted = new WeakMap()
      identity.fresh()
    },
    judge(grounds) {
      const { host, port } = grounds.requested
      const destination = reachable(options.match(host, port), grounds.passthrough)
      const now = options.now()
      const early = refuseRevoked(grounds, options) ?? identity.judge(grounds, now)
      const refusal = early ?? judgeDestination(grounds, destination)
      if (refusal !== null || destination === null) return { refusal, recheckAt: null, destination }
      const { code, policies, error, recheckAt } = decideAgain(grounds, destination, options.policy, now)
      if (code !== null) {
        const detail = error ?? (policies.length === 0 ? 'no policy allows it any more' : policies.join(', '))
        return { refusal: { code, detail }, recheckAt: null, destination }
      }
      const expiry = judgeExpiry(grounds, destination, options.renewals, now)
      return {
        refusal: judgeAddress(grounds, destination) ?? expiry.refusal,
        recheckAt: earlier(recheckAt, expiry.recheckAt),
        destination,
      }
    },
  }
}

export function revocationQuestion({ identity, destination }: Grounds): RevocationQuestion {
  const { principal, serialNumber, tokenId } = identity
  const workload = principal.kind === 'workload' ? principal.id : null
  return { workload, serialNumber, tokenId, destination: destination.name }
}

function refuseRevoked(grounds: Grounds, { revoked }: Pick<JudgeAgainOptions, 'revoked'>): Refusal | null {
  const found = revoked(revocationQuestion(grounds))
  return found === null ? null : { code: found.code, detail: describeRevocation(found.entry) }
}

function decideAgain(grounds: Grounds, destination: Destination, policy: Pick<Policy, 'decide'>, now: Date) {
  const { identity, target, listener, source } = grounds
  return policy.decide({
    principal: identity.principal,
    destination,
    ...target,
    context: {
      now,
      sourceIp: source.ip,
      listener,
      serialNumber: identity.serialNumber,
      ...(source.vpcEndpoint === null ? {} : { vpcEndpoint: source.vpcEndpoint }),
    },
  })
}

function refuseAddress(
  endpoint: string,
  port: number,
  destination: Destination,
  surroundings: Surroundings,
): Refusal | null {
  try {
    permit([addressOf(endpoint)], port, destination, surroundings)
    return null
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    return { code: 'session-address-refused', detail: error.message }
  }
}

/** An SVID that has expired: what the destination's `atExpiry` makes of it. */
function judgeExpiry(
  grounds: Grounds,
  { session: { atExpiry } }: Destination,
  renewals: Pick<Renewals, 'livesUntil'>,
  now: Date,
): Pick<Verdict, 'refusal' | 'recheckAt'> {
  const { expiresAt } = grounds.identity
  if (expiresAt === null || atExpiry === 'keep') return { refusal: null, recheckAt: null }
  if (now < expiresAt) return { refusal: null, recheckAt: expiresAt }
  const detail = `it expired at ${expiresAt.toISOString()}`
  const until =
    atExpiry === 'close'
      ? null
      : renewals.livesUntil(principalOf(grounds), expiresAt.getTime(), now.getTime())
  if (until === null) return { refusal: { code: 'session-svid-expired', detail }, recheckAt: null }
  // At the moment itself the window is still open.
  return { refusal: null, recheckAt: new Date(until + 1) }
}

/** Null = never. */
export function earlier(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b
  return a < b ? a : b
}
