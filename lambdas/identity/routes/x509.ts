// POST /v1/svid/x509: a proof and a CSR for an X.509-SVID.
import * as z from '../schema-library.ts'
import { keyDigest } from '../../../common/key-digest.ts'
import { issueX509 } from '../issue/x509.ts'
import { MAX_CSR_BYTES, readCsr } from '../mint/csr.ts'
import { MIN_TTL_SECONDS } from '../mint/lifetime.ts'
import type { IdentityAppOptions } from '../options.ts'
import { SIGV4_PROOF } from '../proofs/aws/signed-request.ts'
import type { Prover } from '../prove.ts'
import { createProvedRoute } from './proved.ts'

export const X509_BODY = z.strictObject({
  csr: z.string().check(z.minLength(1), z.maxLength(MAX_CSR_BYTES)),
  /** Only shortens; more than the registration allows means what it allows. */
  ttlSeconds: z.optional(z.int().check(z.minimum(MIN_TTL_SECONDS), z.maximum(86_400))),
  registration: z.optional(z.string().check(z.minLength(1), z.maxLength(63))),
  aws: z.optional(SIGV4_PROOF),
})

/** The key of a CSR, with the name that proofs are bound to. @throws CsrError */
export async function prepareX509({ csr }: { readonly csr: string }) {
  const spki = await readCsr(csr)
  return { spki, binding: `x509:${keyDigest(spki)}` }
}

export function createX509Route(options: IdentityAppOptions, prover: Prover) {
  return createProvedRoute(options, async (request, context) => {
    const { proof, body, asked } = await prover.prove(request, {
      schema: X509_BODY,
      prepare: prepareX509,
      onProof: (found) => {
        context.attempt.proof = found
      },
    })
    const { ttlSeconds = null, registration = null } = body
    const issued = await issueX509(options, proof, { ...asked, ttlSeconds, registration }, context)
    const { serialNumber, expiresAt } = issued
    return { status: 201, body: issued, record: { event: 'svid.issued', serialNumber, expiresAt } }
  })
}
