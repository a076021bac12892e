// One call to STS: no redirect, one deadline, a size cap, and an answer that is exactly the JSON that AWS documents.
// Asking for JSON and refusing all else leaves no XML to be read in two ways (CVE-2020-16250).
import { once } from '../../../../common/once.ts'
import * as z from '../../schema-library.ts'
import { readCapped } from '../fetch-json.ts'
import type { Fetch, FetchAnswer } from '../guarded-fetch.ts'
import { ProofError } from '../proof.ts'
import { parseStrictJson } from '../../strict-json.ts'
import type { SignedRequest } from './signed-request.ts'

/** GetCallerIdentity's answer is under 1 KiB. */
export const MAX_ANSWER_BYTES = 8 * 1024
export const STS_TIMEOUT_MS = 5_000

const answerSchema = once(() =>
  z.strictObject({
    GetCallerIdentityResponse: z.strictObject({
      GetCallerIdentityResult: z.strictObject({
        Account: z.string().check(z.regex(/^\d{12}$/)),
        Arn: z.string().check(z.minLength(20), z.maxLength(2048)),
        UserId: z.string().check(z.minLength(1), z.maxLength(256)),
      }),
      ResponseMetadata: z.strictObject({ RequestId: z.string().check(z.maxLength(128)) }),
    }),
  }),
)
const refusalSchema = once(() =>
  z.looseObject({
    Error: z.looseObject({ Code: z.string().check(z.regex(/^[A-Za-z.]{1,64}$/)) }),
  }),
)

export interface CallerIdentity {
  readonly account: string
  readonly arn: string
  readonly userId: string
}

export interface StsOptions {
  readonly fetch: Fetch
  /** In development alone: where all STS requests go, with the Host header of the real one. */
  readonly endpoint: string | null
  readonly timeoutMs?: number
}

async function readText(response: FetchAnswer): Promise<string> {
  return new TextDecoder('utf-8', { fatal: true }).decode(await readCapped(response, MAX_ANSWER_BYTES))
}

/** AWS's own error code, for the log. */
async function readRefusal(response: FetchAnswer): Promise<string> {
  try {
    return refusalSchema().parse(parseStrictJson(await readText(response))).Error.Code
  } catch {
    return 'no readable error'
  }
}

async function readAnswer(response: FetchAnswer): Promise<CallerIdentity> {
  const type = response.headers.get('content-type') ?? ''
  if (!/^application\/json\s*(?:;|$)/i.test(type)) {
    throw new ProofError('sts-answer-refused', 'STS answered with another type than application/json')
  }
  try {
    const { GetCallerIdentityResult: found } = answerSchema().parse(
      parseStrictJson(await readText(response)),
    ).GetCallerIdentityResponse
    return { account: found.Account, arn: found.Arn, userId: found.UserId }
  } catch (error) {
    throw new ProofError('sts-answer-refused', "STS's answer is not the expected JSON", { cause: error })
  }
}

async function ask(request: SignedRequest, options: StsOptions, signal: AbortSignal) {
  const response = await options.fetch(options.endpoint ?? `https://${request.host}/`, {
    method: 'POST',
    redirect: 'manual',
    headers: request.headers,
    body: request.body,
    signal,
    keepErrorBody: true,
  })
  if (response.status === 200) return readAnswer(response)
  const code = await readRefusal(response)
  const refused = response.status >= 400 && response.status < 500
  throw new ProofError(
    refused ? 'sts-refused' : 'sts-unavailable',
    `STS answered ${response.status}: ${code}`,
  )
}

/**
 * Asks STS whose signature it is.
 * @throws ProofError `sts-refused`, `sts-unavailable`, `sts-answer-refused`
 */
export async function getCallerIdentity(
  request: SignedRequest,
  options: StsOptions,
): Promise<CallerIdentity> {
  const signal = AbortSignal.timeout(options.timeoutMs ?? STS_TIMEOUT_MS)
  try {
    return await ask(request, options, signal)
  } catch (error) {
    if (error instanceof ProofError) throw error
    throw new ProofError('sts-unavailable', 'STS cannot be reached', { cause: error })
  }
}
