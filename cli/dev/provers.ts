// How the workloads of the local story prove who they are: by tokens of a development OIDC issuer, or, with --aws, by
// SigV4 as roles of an STS for development. The authority and the client are those that run in earnest.
import { Secret } from '../../common/secret.ts'
import { startFakeSts } from '../../test/fakes/sts/sts.ts'
import { awsProofSource } from '../../common/authority/aws-proof.ts'
import type { ProofSource } from '../../common/authority/proof.ts'
import { startDevOidcIssuer } from './oidc-issuer.ts'
import type { Workspace } from './workspace.ts'

export interface Who {
  /** The claims of its token; the role is named by their values, joined by a hyphen. */
  readonly claims: Readonly<Record<string, string>>
  readonly role: string
}

export interface Prover extends AsyncDisposable {
  /** For people. */
  readonly description: string
  proofOf(who: Who): Promise<ProofSource>
}

async function startOidcProver(audience: string, workspace: Workspace): Promise<Prover> {
  const issuer = await startDevOidcIssuer({ audience, port: workspace.ports.issuer })
  return {
    description: `development issuer ${issuer.issuer}`,
    proofOf: async ({ claims }) => {
      const token = await issuer.token({ sub: Object.values(claims).join(':'), ...claims })
      return { kind: 'token', read: async () => new Secret(token) }
    },
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  }
}

async function startAwsProver(workspace: Workspace): Promise<Prover> {
  const sts = await startFakeSts({ port: workspace.ports.sts })
  return {
    description: `STS for development ${sts.endpoint}`,
    proofOf: async ({ role }) =>
      awsProofSource({ kind: 'sigv4', region: 'eu-west-1', credentials: sts.addRole({ role }) }),
    [Symbol.asyncDispose]: () => sts[Symbol.asyncDispose](),
  }
}

export function startProver(audience: string, workspace: Workspace, aws: boolean): Promise<Prover> {
  return aws ? startAwsProver(workspace) : startOidcProver(audience, workspace)
}
