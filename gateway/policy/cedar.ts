// The only file that calls cedar-wasm. It owns what the engine keeps between calls (the parsed schema and policy sets)
// and turns every way of failing into a CedarError, so that a caller can deny. It trusts its callers to have bounded
// the nesting of policy text (source.ts): what overflows the engine's stack leaves it unusable for the whole process.
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { SallyportError } from '../../common/errors.ts'
import { POLICY_SCHEMA } from './schema.ts'

export type { DetailedError, EntityJson, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'

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

/**
 * The engine keeps a prepared set under its name for ever, so names are used again: two, since a candidate is compiled
 * while the active set answers. Which set lies under a name is checked at each use, for with a third set alive the
 * wrong policies would answer otherwise.
 */
const slots: { readonly name: string; holds: PreparedSet | null; lastUse: number }[] = [
  { name: 'policies-a', holds: null, lastUse: 0 },
  { name: 'policies-b', holds: null, lastUse: 0 },
]
let uses = 0

export type AuthorizationRequest = Pick<
  cedar.StatefulAuthorizationCall,
  'principal' | 'action' | 'resource' | 'context' | 'entities'
>

/** A policy set that the engine has parsed; each set stays right however many are alive. */
export class PreparedSet {
  readonly #policies: Readonly<Record<string, string>>

  /** `policies` maps `@id` to text. Throws CedarError where the engine does not take them. */
  constructor(policies: Readonly<Record<string, string>>) {
    this.#policies = policies
    this.#slotName()
  }

  #slotName(): string {
    uses += 1
    const [a, b] = slots
    if (a === undefined || b === undefined) throw new CedarError('cedar-failed', 'no slot')
    const slot = slots.find(({ holds }) => holds === this) ?? (a.lastUse <= b.lastUse ? a : b)
    if (slot.holds !== this) {
      const answer = guard(() => cedar.preparsePolicySet(slot.name, { staticPolicies: this.#policies }))
      if (answer.type === 'failure') throw failure(answer.errors)
      slot.holds = this
    }
    slot.lastUse = uses
    return slot.name
  }

  /** Cedar's own answer: an error of a policy is in `diagnostics.errors` and does not show in `decision`. */
  authorize(request: AuthorizationRequest): cedar.Response {
    prepareSchema()
    const preparsedPolicySetId = this.#slotName()
    const answer = guard(() =>
      cedar.statefulIsAuthorized({
        ...request,
        preparsedPolicySetId,
        preparsedSchemaName: SCHEMA_NAME,
        validateRequest: true,
      }),
    )
    if (answer.type === 'failure') throw failure(answer.errors)
    return answer.response
  }
}
