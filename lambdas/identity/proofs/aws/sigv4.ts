// Proof by a signed GetCallerIdentity (design §6, "AWS proof 2"): STS says whose credentials signed, for this audience
// and this key. Trusts the TLS identity of STS, and of its answer the role alone.
import type { AwsProofs } from '../../config.ts'
import type { Fetch } from '../guarded-fetch.ts'
import { type AwsPrincipal, type Proof, ProofError } from '../proof.ts'
import { type AssumedRoleArn, parseAssumedRoleArn } from './arn.ts'
import { createHash } from 'node:crypto'
import { partitionOf } from '../../../../common/aws-regions.ts'
import { buildSignedRequest, type SigV4Fields } from './signed-request.ts'
import { type CallerIdentity, getCallerIdentity } from './sts.ts'

/** STS itself allows 15 minutes, which is three times as long as a stolen proof should be of use. */
export const MAX_DATE_OFFSET_MS = 5 * 60_000

export interface SigV4Verifier {
  /** @param binding what the credential is asked for: `x509:<digest>` or `jwt:<digest>`. @throws ProofError */
  verify(fields: SigV4Fields, binding: string): Promise<Proof>
}

export interface SigV4VerifierOptions {
  readonly aws: AwsProofs | null
  readonly audience: string
  /** May reach private addresses: STS is behind an interface endpoint in many VPCs, and its host is ours. */
  readonly stsFetch: Fetch
  readonly clock: () => Date
  readonly timeoutMs?: number
}

/** `20261124T120000Z` as a date; null where it is none, such as one in month 13. */
function parseAmzDate(text: string): Date | null {
  const iso = text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const date = new Date(iso)
  return Number.isNaN(date.getTime()) || date.toISOString() !== iso ? null : date
}

function checkDate(text: string, now: Date): Date {
  const date = parseAmzDate(text)
  if (date === null || Math.abs(date.getTime() - now.getTime()) > MAX_DATE_OFFSET_MS) {
    throw new ProofError('aws-date-refused', 'the signature is not of these five minutes')
  }
  return date
}

/** Root, IAM users and federated users are refused: their ARNs are of another form. */
function readRole(identity: CallerIdentity, region: string): { arn: AssumedRoleArn; roleId: string } {
  const arn = parseAssumedRoleArn(identity.arn)
  if (arn === null)
    throw new ProofError('aws-principal-refused', 'the caller is not a session of an IAM role')
  const [, roleId, session] = /^(AROA[A-Z0-9]{8,124}):(.+)$/s.exec(identity.userId) ?? []
  if (arn.account !== identity.account || roleId === undefined || session !== arn.session) {
    throw new ProofError('sts-answer-refused', "STS's answer contradicts itself")
  }
  if (arn.partition !== partitionOf(region)) {
    throw new ProofError(
      'sts-answer-refused',
      'the role is of another partition than the host that was asked',
    )
  }
  return { arn, roleId }
}

function toProof(fields: SigV4Fields, binding: string, date: Date, identity: CallerIdentity): Proof {
  const { arn, roleId } = readRole(identity, fields.region)
  const { partition, account, name } = arn
  const aws: AwsPrincipal = {
    ...{ partition, account, role: name, roleId },
    // AWS leaves the path out of an assumed role's ARN, so a rule with a path never matches this proof.
    ...{ path: null, lambdaFunction: null, organization: null, sessionEnds: null },
  }
  const digest = createHash('sha256').update(
    JSON.stringify([fields.accessKeyId, fields.date, fields.signature]),
  )
  return {
    kind: 'aws-sigv4',
    provider: 'aws',
    issuer: `arn:${partition}:sts::${account}`,
    subject: `arn:${partition}:sts::${account}:assumed-role/${name}`,
    tokenId: `sha256:${digest.digest('base64url')}`,
    claims: new Map([
      ['account', account],
      ['role', name],
    ]),
    issuedAt: date,
    expiresAt: new Date(date.getTime() + MAX_DATE_OFFSET_MS),
    // For a certificate a second showing only certifies the same key again; a bearer token it would make anew.
    reuse: binding.startsWith('jwt:') ? 'once' : 'untilExpiry',
    endsAt: null,
    binding,
    aws,
  }
}

export function createSigV4Verifier(options: SigV4VerifierOptions): SigV4Verifier {
  const { aws } = options
  return {
    async verify(fields, binding) {
      if (!aws?.sigv4?.regions.includes(fields.region)) {
        throw new ProofError('aws-region-refused', 'no signature of this region is accepted')
      }
      const date = checkDate(fields.date, options.clock())
      const request = buildSignedRequest(fields, { audience: options.audience, binding })
      if (request === null) {
        throw new ProofError('aws-region-refused', 'this region has no STS host of that kind')
      }
      const identity = await getCallerIdentity(request, {
        fetch: options.stsFetch,
        endpoint: aws.sigv4.stsEndpoint,
        ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      })
      if (!aws.accounts.has(identity.account)) {
        throw new ProofError('aws-account-unknown', `the account ${identity.account} is not listed`)
      }
      return toProof(fields, binding, date, identity)
    },
  }
}
