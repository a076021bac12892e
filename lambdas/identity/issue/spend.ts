// What an issuance costs, taken after every check that could still refuse it: one of the registration's count, and the
// proof itself. The count comes first, since a proof that was used up cannot be given back and a count can.
import type { CountedMinute } from '../limits/counter.ts'
import { messageOf } from '../log.ts'
import type { IdentityAppOptions } from '../options.ts'
import { ProblemError } from '../problem.ts'
import { type Proof, ProofError } from '../proofs/proof.ts'
import type { Registration } from '../registrations/registration.ts'
import { checkToken, useToken } from '../replay/guard.ts'
import type { Granted } from './grant.ts'

/** @throws ProblemError `rate-limited`, or where nothing can be counted */
async function countIssue(options: IdentityAppOptions, registration: Registration): Promise<CountedMinute> {
  let minute: CountedMinute | null
  try {
    minute = await options.rates.take(registration.name, registration.perMinute)
  } catch (error) {
    throw new ProblemError('rate-counter-unavailable', { cause: error })
  }
  if (minute !== null) return minute
  throw new ProblemError('rate-limited', {
    detail: `the registration ${registration.name} gives ${registration.perMinute} a minute`,
  })
}

/** @throws ProofError `token-used`, ProblemError where the store does not answer */
async function askStore(
  { replay }: IdentityAppOptions,
  work: typeof useToken,
  proof: Proof,
  binding: string,
): Promise<void> {
  try {
    await work(replay, proof, binding)
  } catch (error) {
    if (error instanceof ProofError) throw error
    throw new ProblemError('replay-store-unavailable', { cause: error })
  }
}

/** A count that stays is a limit that is a little lower for the rest of the minute; the refusal at hand matters more. */
async function giveBack(options: IdentityAppOptions, { name }: Registration, minute: CountedMinute) {
  try {
    await options.rates.giveBack(name, minute)
  } catch (error) {
    options.log({
      event: 'rate.not-given-back',
      level: 'warn',
      registration: name,
      reason: messageOf(error),
    })
  }
}

/**
 * Counts one SVID of the registration, and uses the proof up or ties it to what it is used for. A proof that is refused
 * here gives its count back: else whoever shows one used or stolen token again and again takes the registration's minute
 * from its honest callers.
 * @param binding what the credential will be made for
 * @throws ProofError `token-used`, ProblemError
 */
export async function spend(options: IdentityAppOptions, granted: Granted, binding: string): Promise<void> {
  const { proof, registration } = granted
  const minute = await countIssue(options, registration)
  try {
    await askStore(options, useToken, proof, binding)
  } catch (error) {
    await giveBack(options, registration, minute)
    throw error
  }
}

/**
 * Says whether `spend` would take the proof at this moment; writes nothing and counts nothing.
 * @throws ProofError `token-used`, ProblemError
 */
export function checkProof(options: IdentityAppOptions, proof: Proof, binding: string): Promise<void> {
  return askStore(options, checkToken, proof, binding)
}
