// POST /v1/explain: what a proof would get, by which registration, and what was missing. It issues nothing, uses no
// proof up, and tells a caller no value of a registration: whoever holds a token of a listed issuer may ask, and of an
// issuer that all the world has tokens of, nothing but what matches.
import * as z from '../schema-library.ts'
import { explain } from '../issue/explain.ts'
import type { IdentityAppOptions } from '../options.ts'
import type { Prover } from '../prove.ts'
import { prepareJwt, JWT_BODY } from './jwt.ts'
import { createProvedRoute } from './proved.ts'
import { prepareX509, X509_BODY } from './x509.ts'

export const EXPLAIN_BODY = z.discriminatedUnion('for', [
  z.extend(X509_BODY, { for: z.literal('x509') }),
  z.extend(JWT_BODY, { for: z.literal('jwt') }),
])

export function createExplainRoute(options: IdentityAppOptions, prover: Prover) {
  return createProvedRoute(options, async (request, context) => {
    const { proof, body, asked } = await prover.prove(request, {
      schema: EXPLAIN_BODY,
      prepare: async (asked: z.infer<typeof EXPLAIN_BODY>) =>
        asked.for === 'x509' ? prepareX509(asked) : prepareJwt(asked),
      onProof: (found) => {
        context.attempt.proof = found
      },
    })
    const wanted = {
      kind: body.for,
      binding: asked.binding,
      registration: body.registration ?? null,
      audience: body.for === 'jwt' ? body.audience : null,
      ttlSeconds: body.for === 'x509' ? (body.ttlSeconds ?? null) : null,
    }
    const explanation = await explain(options, proof, wanted, context)
    return { status: 200, body: explanation, record: { event: 'svid.explained' } }
  })
}
