// A request that is sent again, the same bytes, where no answer came or the authority failed: it may have had the
// request and its answer been lost, and then a second proof or another key would be refused.
import { setTimeout } from 'node:timers/promises'
import { readProblem } from './answer.ts'
import { IdentityFetchError } from './errors.ts'
import {
  type AuthorityAnswer,
  type AuthorityFetch,
  type AuthorityRequest,
  requestAuthority,
} from './request.ts'
import { jitter } from './timing.ts'

export interface PatienceOptions {
  readonly fetch?: AuthorityFetch
  readonly random?: () => number
  readonly sleep?: (ms: number) => Promise<unknown>
  /** Ends the request, and the waiting for another try. */
  readonly signal?: AbortSignal
}

/** Milliseconds before the second and the third try. */
const PAUSES = [500, 2_000]

function mayPass(error: unknown): boolean {
  const code = error instanceof IdentityFetchError ? error.code : null
  return code === 'authority-unreachable' || code === 'authority-failed'
}

/**
 * The answer of that status.
 * @throws IdentityFetchError where three tries gave none, or the authority refuses
 */
export async function send(
  request: AuthorityRequest,
  expected: 200 | 201,
  options: PatienceOptions,
): Promise<AuthorityAnswer> {
  const { fetch = requestAuthority, random = Math.random, signal } = options
  const { sleep = (ms: number) => setTimeout(ms, undefined, { signal }) } = options
  const once = async (): Promise<AuthorityAnswer> => {
    const answer = await fetch(signal === undefined ? request : { ...request, signal })
    if (answer.status !== expected) throw readProblem(answer)
    return answer
  }
  for (const pause of PAUSES) {
    try {
      return await once()
    } catch (error) {
      if (!mayPass(error) || signal?.aborted === true) throw error
      await sleep(jitter(pause, random()))
    }
  }
  return once()
}
