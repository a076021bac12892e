// POST /v1/explain: what a proof would get, by which registration, and what was missing. It issues nothing, uses no
// proof up, and tells a caller no value of a registration: whoever holds a token of a listed issuer may ask, and of an
// issuer that all the world has tokens of, nothing but what matches.
import { once } from '../../../common/once.ts'
import * as z from '../schema-library.ts'
import { explain } from '../issue/explain.ts'
import type { IdentityAppOptions } from '../options.ts'
import type { Prover } from '../prove.ts'
import { jwtBody, prepareJwt } from './jwt.ts'
import { createProvedRoute } from './proved.ts'
import { prepareX509, X509_BODY } from './x509.ts'

export const explainBody = once(() =>
  z.discriminatedUnion('for', [
    z.extend(X509_BODY, { for: z.literal('x509') }),
    z.extend(jwtBody(), { for: z.literal('jwt') }),
  ]),
)

export function createExplainRoute(options: IdentityAppOptions, prover: Prover) {
  return createProvedRoute(options, async (request, context) => {
    const { proof, body, asked } = await prover.prove(request, {
      schema: explainBody(),
      prepare: async (asked: z.infer<ReturnType<typeof explainBody>>) =>
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
