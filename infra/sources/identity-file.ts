// What identity.yaml says that the deployment must agree with: the trust domain, the gateway's registration and the files
// that the function needs beside it. Read by the authority's own schema; `sallyport config check` judges the rest.
import { ConfigurationError, type Fault } from '../../common/fault.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { IDENTITY_SCHEMA, type IdentityDocument } from '../../lambdas/identity/config-schema.ts'

export interface IdentityNeeds {
  readonly trustDomain: string
  /** Of the gateway's task: the registration of `/sallyport/gateway` names it. */
  readonly gatewayRoleName: string
  /** Paths of key sets and bundles, relative to identity.yaml. */
  readonly files: readonly string[]
}

// A role with a path is never matched by SigV4, which is how the gateway proves itself.
const ROLE_ARN = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/([\w+=,.@-]{1,64})$/

function filesOf({ proofs }: IdentityDocument): readonly string[] {
  return proofs.oidc.flatMap(({ jwks, bundle }) => {
    const named = bundle?.startsWith('file:') === true ? [bundle.slice(5)] : []
    return jwks === undefined ? named : [...named, jwks]
  })
}

/** @throws ConfigurationError, also where the gateway would get no identity in this account */
export function readIdentityNeeds(
  file: string,
  text: string,
  { account, partition }: { readonly account: string; readonly partition: string },
): IdentityNeeds {
  const loaded = loadYamlFile({ file, text }, IDENTITY_SCHEMA)
  if (!loaded.ok) throw new ConfigurationError(loaded.faults)
  const { value: document, lineOf } = loaded
  const fail = (key: readonly (string | number)[], message: string, remedy: string): never => {
    const fault: Fault = { file, line: lineOf(key), key: key.join('.'), message, remedy }
    throw new ConfigurationError([fault])
  }
  const id = `spiffe://${document.trustDomain}/sallyport/gateway`
  const index = document.registrations.findIndex(({ spiffeId }) => spiffeId === id)
  const role = document.registrations[index]?.match.aws?.role ?? ''
  const [, rolePartition, roleAccount, gatewayRoleName] = ROLE_ARN.exec(role) ?? []
  if (index < 0) fail(['registrations'], `none gives ${id}, the gateway's own identity`, 'add one')
  const at = ['registrations', index, 'match', 'aws', 'role']
  if (gatewayRoleName === undefined || gatewayRoleName === '') {
    return fail(
      at,
      `expected the ARN of one role without a path, found "${role}"`,
      'the stack makes this role',
    )
  }
  if (rolePartition !== partition) {
    fail(at, `a role of partition ${rolePartition}, and the region is of ${partition}`, 'name the right one')
  }
  if (roleAccount !== account) {
    fail(at, `a role of account ${roleAccount}, and the settings say ${account}`, 'name the right account')
  }
  if (document.proofs.aws?.accounts[account] === undefined) {
    fail(['proofs', 'aws', 'accounts'], `account ${account} is not listed`, 'the gateway proves itself by it')
  }
  return { trustDomain: document.trustDomain, gatewayRoleName, files: filesOf(document) }
}
