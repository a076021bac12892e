// The certificates of the bench, as files: one trust domain for the way in, a partner's CA for the way out, P-256 all of
// them. Every product gets the same ones.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createRoot, EKU, type Issued } from '../../test/fixtures/pki.ts'

/** A name below `localhost`, which every product reaches without a resolver. */
export const PARTNER = 'partner.localhost'
/** The same server where the client speaks TLS with it itself. */
export const THROUGH = 'through.localhost'

export interface Pki {
  readonly directory: string
  /** What a client presents, and whom it believes. */
  readonly client: { readonly cert: string; readonly key: string; readonly ca: string }
  /** PEM of the partner's CA. */
  readonly partnerCa: string
  file(name: string, text: string): Promise<string>
}

/**
 * Writes `gateway`, `partner` and `identity` (what is presented to the partner) as `.crt`, `.key` and both together as
 * `.pem`, and the roots as `bundle.pem` and `partner-ca.pem`.
 */
export async function createPki(directory: string): Promise<Pki> {
  const root = await createRoot({ name: 'root of example.org' })
  const issuing = await root.subordinate({ name: 'issuing CA of example.org' })
  const partner = await createRoot({ name: 'partner CA' })
  const file = async (name: string, text: string) => {
    const target = path.join(directory, name)
    await writeFile(target, text, { mode: 0o600 })
    return target
  }
  const files = async (name: string, { chainPem, keyPem }: Issued) => {
    await file(`${name}.crt`, chainPem)
    await file(`${name}.key`, keyPem)
    await file(`${name}.pem`, chainPem + keyPem)
  }
  await files(
    'gateway',
    await issuing.issue({ uris: ['spiffe://example.org/sallyport/gateway'], dns: ['localhost'] }),
  )
  await files('partner', await partner.issue({ cn: PARTNER, dns: [PARTNER, THROUGH] }))
  await files('identity', await partner.issue({ cn: 'acme', eku: [EKU.clientAuth] }))
  await file('bundle.pem', root.pem)
  await file('partner-ca.pem', partner.pem)
  const { chainPem, keyPem } = await issuing.issue({ uris: ['spiffe://example.org/payments/api'] })
  return {
    ...{ directory, file },
    client: { cert: chainPem, key: keyPem, ca: root.pem },
    partnerCa: partner.pem,
  }
}
