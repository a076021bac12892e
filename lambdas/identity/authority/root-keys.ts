// Where root keys live, as the rest of the authority sees it, and the CA tools that work with any of them.
import * as x509 from '../../../common/x509-library.ts'
import type { CaTools } from './advance.ts'
import type { CaSigner } from './ca-key.ts'
import { createIssuingCa, createRootCa, pemOf } from './certificates.ts'
import { createJwtKey } from './jwt-keys.ts'
import { findRoot, readCertificates } from './state.ts'

export interface RootKey {
  /** As it stands in the document. */
  readonly reference: string
  readonly signer: CaSigner
}

export interface RootKeys {
  /** Whether a root with that reference is still one of ours. One that is not gets a successor. */
  owns(reference: string): boolean
  hasSpare(used: readonly string[]): boolean
  /** Makes or chooses a key that is none of `used`, and returns when it will last. @throws AuthorityError */
  create(used: readonly string[]): Promise<RootKey>
  /** @throws AuthorityError */
  open(reference: string): Promise<CaSigner>
}

export interface CaToolsOptions {
  readonly trustDomain: string
  readonly random: (bytes: number) => Uint8Array
  readonly rootKeys: RootKeys
}

/** Real keys and certificates. */
export function createCaTools({ trustDomain, random, rootKeys }: CaToolsOptions): CaTools {
  return {
    facts(document) {
      const roots = document.roots.flatMap(({ certificate }) => readCertificates(certificate))
      const chain = readCertificates(document.issuing.chain)
      return {
        rootEnds: roots.map(({ validToDate }) => validToDate.getTime()),
        issuing: {
          root: roots.indexOf(findRoot(chain, roots)),
          beganAt: chain[0]?.validFromDate.getTime() ?? 0,
        },
      }
    },
    canSign: (key) => rootKeys.owns(key),
    hasSpare: (keys) => rootKeys.hasSpare(keys),
    async makeRoot(used, now) {
      const { reference, signer } = await rootKeys.create(used)
      return { certificate: pemOf(await createRootCa({ trustDomain, now, random }, signer)), key: reference }
    },
    async makeIssuing(root, now) {
      const issuer = {
        certificate: new x509.X509Certificate(root.certificate),
        key: await rootKeys.open(root.key),
      }
      const { certificate, keyPem } = await createIssuingCa({ trustDomain, now, random }, issuer)
      return { chain: pemOf(certificate), key: keyPem, notAfter: certificate.notAfter.toISOString() }
    },
    makeJwtKey: createJwtKey,
  }
}
