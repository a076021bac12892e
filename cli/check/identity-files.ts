// The files that an identity.yaml refers to, read and judged as the authority will: its TLS certificate with its key,
// and the key sets of issuers. `config check` alone does it; the authority reads each when it needs it.
import path from 'node:path'
import type { Fault } from '../../common/fault.ts'
import { formatKeyPath, type KeyPath } from '../../common/schema-faults.ts'
import type { CheckedConfig } from '../../gateway/config/check.ts'
import { type FileContext, readKeyPair, readText } from '../../gateway/config/context.ts'
import { ReferencedFiles, readRegularFile } from '../../gateway/config/files.ts'
import type { Report } from '../../gateway/config/rules.ts'
import { ReferencedSecrets } from '../../gateway/config/secrets.ts'
import type { IdentityConfig } from '../../lambdas/identity/config.ts'
import { isJwtSvidUse, isSignatureUse, readKeySet } from '../../lambdas/identity/proofs/key-set.ts'
import type { OidcProvider } from '../../lambdas/identity/proofs/proof.ts'
import { ZodError } from '../../lambdas/identity/schema-library.ts'
import { parseStrictJson } from '../../lambdas/identity/strict-json.ts'

export interface IdentityFilesInput {
  /** identity.yaml, as the operator named it. */
  readonly file: string
  readonly text: string
  readonly config: Pick<IdentityConfig, 'tls' | 'providers'>
  readonly lineOf: (keys: KeyPath) => number | null
  readonly now?: Date
}

/** As it stands in the file, where it stands there relative to it. */
function referenceOf(file: string, absolute: string): string {
  const relative = path.relative(path.dirname(path.resolve(file)), absolute)
  return relative.startsWith('..') ? absolute : relative
}

function findKeySetFault(text: string, kind: OidcProvider['kind']): string | null {
  const spiffe = kind === 'spiffe'
  try {
    const keys = readKeySet(parseStrictJson(text), spiffe ? isJwtSvidUse : isSignatureUse)
    if (keys.length > 0) return null
    return spiffe ? 'no key in it is for JWT-SVIDs (use: jwt-svid)' : 'no key in it can verify a signature'
  } catch (error) {
    // Our own messages quote nothing of the file; zod's are about its form.
    const own = error instanceof Error && !(error instanceof ZodError) ? `: ${error.message}` : ''
    return `cannot be read as a key set (JWKS)${own}`
  }
}

async function checkKeySet(
  provider: OidcProvider,
  index: number,
  reference: string,
  context: FileContext,
): Promise<void> {
  const spiffe = provider.kind === 'spiffe'
  const key = ['proofs', 'oidc', index, spiffe ? 'bundle' : 'jwks']
  const text = await readText(reference, key, context)
  const fault = text === null ? null : findKeySetFault(text, provider.kind)
  if (fault === null) return
  const remedy = spiffe ? "name the trust domain's bundle, as JWKS" : "name the issuer's key set, as JWKS"
  context.report(key, `${reference}: ${fault}`, remedy)
}

/** What is wrong with the files that a configuration without a fault refers to. */
export async function checkIdentityFiles(input: IdentityFilesInput): Promise<CheckedConfig> {
  const { file, config, lineOf } = input
  const faults: Fault[] = []
  const warnings: Fault[] = []
  const reportTo =
    (list: Fault[]): Report =>
    (keys, message, remedy = null) => {
      list.push({ file, line: lineOf(keys), key: formatKeyPath(keys), message, remedy })
    }
  const report = reportTo(faults)
  const files = new ReferencedFiles({
    ...{ file, report, readFile: readRegularFile },
    bytes: Buffer.from(input.text),
  })
  const secrets = new ReferencedSecrets(null, report)
  const context = { files, secrets, report, warn: reportTo(warnings), now: input.now ?? new Date() }
  const { tls, providers } = config
  if (tls !== null) {
    const paths = { certificate: referenceOf(file, tls.certificate), key: referenceOf(file, tls.key) }
    await readKeyPair(paths, ['tls'], context)
  }
  // Those under `proofs.oidc` come first and in their order; AWS's have no files.
  for (const [index, provider] of providers.entries()) {
    if (provider.keysFile === null) continue
    await checkKeySet(provider, index, referenceOf(file, provider.keysFile), context)
  }
  return { faults, warnings }
}
