// POST /v1/svid/jwt: a proof and an audience for a JWT-SVID.
import { createHash } from 'node:crypto'
import { once } from '../../../common/once.ts'
import * as z from '../schema-library.ts'
import { issueJwt } from '../issue/jwt.ts'
import type { IdentityAppOptions } from '../options.ts'
import { SIGV4_PROOF } from '../proofs/aws/signed-request.ts'
import type { Prover } from '../prove.ts'
import { createProvedRoute } from './proved.ts'

/** Made for the first request of this route: most cold starts are for a certificate. */
export const jwtBody = once(() =>
  z.strictObject({
    audience: z
      .string()
      .check(
        z.minLength(1),
        z.maxLength(1000),
        z.regex(/^[\x21-\x7e]+$/, 'expected printable ASCII without spaces'),
      ),
    registration: z.optional(z.string().check(z.minLength(1), z.maxLength(63))),
    aws: z.optional(SIGV4_PROOF),
  }),
)

/** The audience, with the name that proofs are bound to (design §5.4). */
export async function prepareJwt({ audience }: { readonly audience: string }) {
  return { audience, binding: `jwt:${createHash('sha256').update(audience).digest('base64url')}` }
}

export function createJwtRoute(options: IdentityAppOptions, prover: Prover) {
  return createProvedRoute(options, async (request, context) => {
    const { proof, body, asked } = await prover.prove(request, {
      schema: jwtBody(),
      prepare: prepareJwt,
      onProof: (found) => {
        context.attempt.proof = found
      },
    })
    const wanted = { ...asked, registration: body.registration ?? null }
    const { issued, tokenId } = await issueJwt(options, proof, wanted, context)
    const { expiresAt } = issued
    return {
      status: 201,
      body: issued,
      record: { event: 'svid.issued', audience: asked.audience, svidTokenId: tokenId, expiresAt },
    }
  })
}
