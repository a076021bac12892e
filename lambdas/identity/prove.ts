// From a request to a proof, for every route that needs one: there is no other way to get a proof, so no route can
// forget a check. A bearer token is verified before the body is parsed; a SigV4 proof is in the body and made for what
// the body asks, so there the body comes first.
import type { Schema } from './schema-library.ts'
import type { IdentityAppOptions } from './options.ts'
import { ProblemError } from './problem.ts'
import { createSigV4Verifier } from './proofs/aws/sigv4.ts'
import type { SigV4Fields } from './proofs/aws/signed-request.ts'
import { createOidcVerifier } from './proofs/oidc.ts'
import { type Proof, ProofError } from './proofs/proof.ts'
import { parseBody, readBearer, readBody } from './request.ts'

/** What a body asks for, with the name of it that proofs can be bound to. */
export interface Asked {
  /** `x509:<digest of the SPKI>` or `jwt:<digest of the audience>`. */
  readonly binding: string
}

export interface ProveOptions<B, A extends Asked> {
  readonly schema: Schema<B & { readonly aws?: SigV4Fields | undefined }>
  /** Reads the rest of the body. @throws CsrError */
  readonly prepare: (body: NoInfer<B>) => Promise<A>
  /** Told as soon as there is a proof, so that a later refusal is logged with it. */
  readonly onProof: (proof: Proof) => void
}

export interface Proved<B, A extends Asked> {
  readonly proof: Proof
  readonly body: B
  readonly asked: A
}

export interface Prover {
  /** @throws ProofError, ProblemError, CsrError */
  prove<B, A extends Asked>(request: Request, options: ProveOptions<B, A>): Promise<Proved<B, A>>
}

/** The prover of an authority; it keeps the issuers' keys between requests. */
export function createProver(options: IdentityAppOptions): Prover {
  const { config } = options
  const timeout = options.fetchTimeoutMs === undefined ? {} : { timeoutMs: options.fetchTimeoutMs }
  const common = { ...options, ...timeout, audience: config.audience }
  const tokens = createOidcVerifier({
    ...common,
    providers: config.providers,
    principalTags: config.aws?.principalTags ?? [],
  })
  const signatures = createSigV4Verifier({ ...common, aws: config.aws })

  async function byToken<B, A extends Asked>(header: string, request: Request, wanted: ProveOptions<B, A>) {
    const bytes = await readBody(request)
    const proof = await tokens.verify(readBearer(header))
    wanted.onProof(proof)
    const body = parseBody(request.headers.get('content-type'), bytes, wanted.schema)
    if (body.aws !== undefined) {
      throw new ProblemError('request-malformed', { detail: 'aws: there is a token in the header already' })
    }
    const asked = await wanted.prepare(body)
    if (proof.binding !== null && proof.binding !== asked.binding) {
      throw new ProofError('binding-mismatch', 'the token was made for another key or audience')
    }
    return { proof, body, asked }
  }

  async function bySignature<B, A extends Asked>(request: Request, wanted: ProveOptions<B, A>) {
    const bytes = await readBody(request)
    // An empty body holds no proof either; it is not worth a fault of its own.
    if (bytes.byteLength === 0) throw new ProofError('proof-missing', 'neither a token nor a body')
    const body = parseBody(request.headers.get('content-type'), bytes, wanted.schema)
    if (body.aws === undefined) throw new ProofError('proof-missing', 'neither a token nor an aws object')
    const asked = await wanted.prepare(body)
    const proof = await signatures.verify(body.aws, asked.binding)
    wanted.onProof(proof)
    return { proof, body, asked }
  }

  return {
    prove(request, wanted) {
      const header = request.headers.get('authorization')
      return header === null ? bySignature(request, wanted) : byToken(header, request, wanted)
    },
  }
}
