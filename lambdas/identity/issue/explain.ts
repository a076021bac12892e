// What a proof would get, step by step, without giving it. Of a registration that does not match, the conditions that
// are not met are named; what they ask for is not. A stranger, who has a token of a shared issuer, is told of none.
import { SallyportError } from '../../../common/errors.ts'
import { chooseLifetime } from '../mint/lifetime.ts'
import type { IdentityAppOptions } from '../options.ts'
import { toProblem } from '../problem.ts'
import { knownIssuer } from '../proofs/known-issuers.ts'
import type { Proof } from '../proofs/proof.ts'
import { isAbout, missingConditions } from '../registrations/match.ts'
import type { Registration } from '../registrations/registration.ts'
import { checkCredentials, type Granted, grant, type IssueContext } from './grant.ts'
import { chooseJwtLifetime } from './jwt.ts'
import { checkProof } from './spend.ts'

export interface ExplainRequest {
  readonly kind: 'x509' | 'jwt'
  /** What the credential would be made for. */
  readonly binding: string
  readonly registration: string | null
  readonly audience: string | null
  readonly ttlSeconds: number | null
}

export interface Explanation {
  readonly proof: {
    readonly kind: string
    readonly provider: string
    readonly issuer: string
    readonly subject: string
    readonly expiresAt: string
    readonly keyBound: boolean
    /** Those that registrations can ask for. */
    readonly claims: readonly string[]
  }
  readonly registrations: readonly {
    readonly name: string
    readonly matches: boolean
    readonly missing: readonly string[]
  }[]
  readonly result:
    | {
        readonly granted: true
        readonly registration: string
        readonly spiffeId: string
        readonly expiresAt: string
        readonly dnsNames?: readonly string[]
        readonly audience?: string
      }
    | { readonly granted: false; readonly code: string; readonly reason: string }
}

function describeProof(proof: Proof): Explanation['proof'] {
  const { kind, provider, issuer, subject, expiresAt, binding, claims } = proof
  return {
    ...{ kind, provider, issuer, subject },
    expiresAt: expiresAt.toISOString(),
    keyBound: binding !== null,
    claims: [...claims.keys()].sort(),
  }
}

/**
 * Anybody in the world can get a token of GitHub, GitLab.com or Google, so the names of registrations for those are told
 * to those alone whom they are for.
 */
function describeRegistrations(
  registrations: readonly Registration[],
  proof: Proof,
): Explanation['registrations'] {
  const shared = knownIssuer(proof.issuer)?.shared === true
  return registrations
    .filter(({ match }) => isAbout(match, proof))
    .map(({ name, match }) => {
      const missing = missingConditions(match, proof)
      return { name, matches: missing.length === 0, missing }
    })
    .filter(({ matches }) => matches || !shared)
}

async function describeGrant(
  options: IdentityAppOptions,
  granted: Granted,
  wanted: ExplainRequest,
): Promise<Explanation['result']> {
  const { registration, spiffeId, proof } = granted
  const now = options.clock()
  const state = await options.authority.current()
  checkCredentials(proof, now)
  const given = { granted: true, registration: registration.name, spiffeId: spiffeId.uri } as const
  if (wanted.kind === 'jwt') {
    const audience = wanted.audience ?? ''
    const expiresAt = chooseJwtLifetime(granted, audience, state, now).toISOString()
    await checkProof(options, proof, wanted.binding)
    return { ...given, expiresAt, audience }
  }
  const { ttlSeconds, dnsNames } = registration.x509
  const terms = { ttlSeconds, requestedSeconds: wanted.ttlSeconds, proofEnds: proof.endsAt }
  const { notAfter } = chooseLifetime({ ...terms, now, authority: state.issuing })
  await checkProof(options, proof, wanted.binding)
  return { ...given, expiresAt: notAfter.toISOString(), dnsNames }
}

/** Explains; what would refuse an issuance is part of the answer. @throws what is not a refusal */
export async function explain(
  options: IdentityAppOptions,
  proof: Proof,
  wanted: ExplainRequest,
  context: IssueContext,
): Promise<Explanation> {
  const registrations = describeRegistrations(options.config.registrations, proof)
  const about = { proof: describeProof(proof), registrations }
  try {
    const granted = grant(options, proof, wanted.registration, context)
    return { ...about, result: await describeGrant(options, granted, wanted) }
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error
    const { status, code } = toProblem(error)
    if (status >= 500) throw error
    // The proof held, so its holder may know why: these messages name claims and registrations, never their values.
    return { ...about, result: { granted: false, code, reason: error.message } }
  }
}
