// An identity.yaml around registrations, and what is said of it: `line: key: message (remedy)` for each fault or warning.
import { formatFault } from '../../../../common/fault.ts'
import { readIdentityConfig } from '../../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'

export const ACCOUNT_ISSUER = 'https://0a1b2c3d-0000-4000-8000-000000000000.tokens.sts.global.api.aws'

export interface Parts {
  /** The value of `proofs.aws`, in YAML. */
  readonly aws?: string
  readonly oidc?: readonly string[]
  /** Of each registration what stands between its braces, but for the name: `a`, `b`, and so on. */
  readonly registrations: readonly string[]
}

function read({ aws, oidc = [], registrations }: Parts) {
  const text = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs:
${aws === undefined ? '' : `  aws: ${aws}\n`}  oidc: [${oidc.join(', ')}]
registrations:
${registrations.map((one, index) => `  - {name: ${'abcdef'[index]}, ${one}}`).join('\n')}
`
  return readIdentityConfig({ file: 'i.yaml', text, environment: readIdentityEnvironment({}) })
}

export function faultsOf(parts: Parts): readonly string[] {
  const result = read(parts)
  return result.ok ? [] : result.faults.map(formatFault)
}

/** Throws where there are faults: a warning beside a fault would not be seen. */
export function warningsOf(parts: Parts): readonly string[] {
  const result = read(parts)
  if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))
  return result.warnings.map(formatFault)
}
