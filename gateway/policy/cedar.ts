// The only file that calls cedar-wasm. It turns every way of failing into a CedarError, so that a caller can deny; which
// prepared set lies under which name is prepared.ts's matter. It trusts its callers to have bounded
// the nesting of policy text (source.ts): what overflows the engine's stack leaves it unusable for the whole process.
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { SallyportError } from '../../common/errors.ts'
import { POLICY_SCHEMA } from './schema.ts'

export type { DetailedError, EntityJson, PolicyJson, Response } from '@cedar-policy/cedar-wasm/nodejs'

/** `cedar-failed`: this call failed. `cedar-broken`: no call can succeed before the process is started again. */
export class CedarError extends SallyportError<'cedar-failed' | 'cedar-broken'> {}

/** A trap inside wasm, and the overflow of V8's own stack below it. */
const STACK_ERRORS: ReadonlySet<string> = new Set(['RuntimeError', 'RangeError'])

let broken: string | null = null

function guard<T>(call: () => T): T {
  if (broken !== null) throw new CedarError('cedar-broken', `the policy engine has failed: ${broken}`)
  try {
    return call()
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    // Both mean that wasm was left in the middle of a call; its stack pointer is never restored.
    if (error instanceof Error && STACK_ERRORS.has(error.name)) {
      broken = text
      throw new CedarError('cedar-broken', `the policy engine failed: ${text}`, { cause: error })
    }
    throw new CedarError('cedar-failed', text, { cause: error })
  }
}

/** Why every call fails from now on; null while none has broken the engine. */
export function engineFailure(): string | null {
  return broken
}

/** How many policies and templates the text holds, or the errors for which it cannot be parsed. */
export function countPolicies(text: string): cedar.PolicySetTextToPartsAnswer {
  return guard(() => cedar.policySetTextToParts(text))
}

/** One policy as JSON; a template is told apart from what cannot be parsed. */
export function readPolicy(
  text: string,
):
  | { readonly kind: 'policy'; readonly json: cedar.PolicyJson }
  | { readonly kind: 'template' }
  | { readonly kind: 'error'; readonly errors: readonly cedar.DetailedError[] } {
  const answer = guard(() => cedar.policyToJson(text))
  if (answer.type === 'success') return { kind: 'policy', json: answer.json }
  if (guard(() => cedar.templateToJson(text)).type === 'success') return { kind: 'template' }
  return { kind: 'error', errors: answer.errors }
}

/** Strict validation against the schema. `policies` maps `@id` to text. */
export function validatePolicies(policies: Readonly<Record<string, string>>): cedar.ValidationAnswer {
  return guard(() =>
    cedar.validate({
      schema: POLICY_SCHEMA,
      policies: { staticPolicies: policies },
      validationSettings: { mode: 'strict' },
    }),
  )
}

const SCHEMA_NAME = 'sallyport'
let schemaReady = false

function prepareSchema(): void {
  if (schemaReady) return
  const answer = guard(() => cedar.preparseSchema(SCHEMA_NAME, POLICY_SCHEMA))
  if (answer.type === 'failure') throw failure(answer.errors)
  schemaReady = true
}

function failure(errors: readonly cedar.DetailedError[]): CedarError {
  return new CedarError('cedar-failed', errors.map((error) => error.message).join('; '))
}

/** Keeps the set under a name, in place of what lay there: nothing else frees it. `policies` maps `@id` to text. */
export function preparePolicies(name: string, policies: Readonly<Record<string, string>>): void {
  const answer = guard(() => cedar.preparsePolicySet(name, { staticPolicies: policies }))
  if (answer.type === 'failure') throw failure(answer.errors)
}

export type AuthorizationRequest = Pick<
  cedar.StatefulAuthorizationCall,
  'principal' | 'action' | 'resource' | 'context' | 'entities'
>

/**
 * Cedar's own answer by the set that was prepared under this name: an error of a policy is in `diagnostics.errors` and
 * does not show in `decision`.
 */
export function authorizePrepared(name: string, request: AuthorizationRequest): cedar.Response {
  prepareSchema()
  const call = {
    ...request,
    preparsedPolicySetId: name,
    preparsedSchemaName: SCHEMA_NAME,
    validateRequest: true,
  }
  const answer = guard(() => cedar.statefulIsAuthorized(call))
  if (answer.type === 'failure') throw failure(answer.errors)
  return answer.response
}

/**
 * As authorizePrepared, by one policy and for one time. The JSON form is JavaScript's, so that a number beyond 2^53 in it
 * is no longer the policy's, or none that Cedar takes.
 */
export function authorizeOnce(
  policy: cedar.PolicyJson | string,
  request: AuthorizationRequest,
): cedar.Response {
  const call = {
    ...request,
    policies: { staticPolicies: { once: policy } },
    schema: POLICY_SCHEMA,
    validateRequest: true,
  }
  const answer = guard(() => cedar.isAuthorized(call))
  if (answer.type === 'failure') throw failure(answer.errors)
  return answer.response
}

/** The policy as Cedar writes it; null where it cannot. */
export function writePolicy(policy: cedar.PolicyJson): string | null {
  const answer = guard(() => cedar.policyToText(policy))
  return answer.type === 'success' ? answer.text : null
}
