// AWS proofs, from the credentials that the SDK finds: an outbound web identity token where the account gives one, else
// a signed GetCallerIdentity. Trusts AWS's own SDK with the credentials; none of them leaves but inside the proof. The SDK
// is loaded when the first proof is made, since most gateways make none.
import type { STSClient } from '@aws-sdk/client-sts'
import { Secret } from '../secret.ts'
import { CALL_AUDIENCE, CALL_BODY, CALL_CONTENT_TYPE, CALL_KEY, type SignedCall } from '../signed-call.ts'
import { stsHost } from '../aws-regions.ts'
import { IdentityFetchError } from './errors.ts'
import type { MadeSource, ProofWanted, ShownProof } from './proof.ts'

/** Where an account gives no token, or the role may not ask for one, the signature is tried; all else is a failure. */
const NO_TOKEN = new Set([
  'OutboundWebIdentityFederationDisabled',
  'OutboundWebIdentityFederationDisabledException',
  'AccessDenied',
  'AccessDeniedException',
  // STS of a partition or an emulator that has no such action.
  'InvalidAction',
])
/** The least that STS gives is 60; the authority needs a few seconds of it. */
const TOKEN_SECONDS = 300
const TIMEOUT_MS = 10_000

export type AwsProofKind = 'auto' | 'web-identity' | 'sigv4'

/** As the AWS SDK has them. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface AwsProofOptions {
  readonly kind: AwsProofKind
  /** Default: what the SDK finds (AWS_REGION, shared config). */
  readonly region?: string
  /** Default: those that the SDK's chain finds. */
  readonly credentials?: AwsCredentials
  /** Told why a signature is shown instead of a token. */
  readonly onFallback?: (reason: string) => void
  readonly clock?: () => Date
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error'
}

/** SDK messages are about configuration and never quote a secret; they are kept to one line. */
function unavailable(error: unknown): IdentityFetchError {
  const message = error instanceof Error ? error.message.replaceAll(/\s+/g, ' ').slice(0, 300) : String(error)
  return new IdentityFetchError('aws-unavailable', `AWS: ${nameOf(error)}: ${message}`, { cause: error })
}

async function requestToken(client: STSClient, { audience, binding }: ProofWanted): Promise<Secret> {
  const { GetWebIdentityTokenCommand } = await import('@aws-sdk/client-sts')
  const command = new GetWebIdentityTokenCommand({
    // Bound to the key: a token that is stolen on its way certifies no key of the thief's.
    Audience: [`${audience}#${binding}`],
    SigningAlgorithm: 'ES384',
    DurationSeconds: TOKEN_SECONDS,
  })
  const { WebIdentityToken: token } = await client.send(command, {
    abortSignal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (token === undefined) throw new Error('STS answered without a token')
  return new Secret(token)
}

/** `2026-11-24T12:00:00.000Z` as `20261124T120000Z`. */
function amzDate(now: Date): string {
  return now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
}

async function sign(region: string, client: STSClient, wanted: ProofWanted, now: Date): Promise<SignedCall> {
  const host = stsHost(region, null)
  if (host === null) throw new IdentityFetchError('aws-unavailable', `AWS: there is no region ${region}`)
  const credentials = await client.config.credentials()
  const [{ Hash }, { SignatureV4 }] = await Promise.all([
    import('@smithy/hash-node'),
    import('@smithy/signature-v4'),
  ])
  const signer = new SignatureV4({
    credentials,
    region,
    service: 'sts',
    sha256: Hash.bind(null, 'sha256'),
    applyChecksum: false,
  })
  const headers = {
    'content-type': CALL_CONTENT_TYPE,
    host,
    [CALL_AUDIENCE]: wanted.audience,
    [CALL_KEY]: wanted.binding,
  }
  const request = {
    method: 'POST',
    protocol: 'https:',
    hostname: host,
    path: '/',
    headers,
    body: CALL_BODY,
  }
  const signed = await signer.sign(request, { signingDate: now })
  const [signature] = /[0-9a-f]{64}$/.exec(signed.headers.authorization ?? '') ?? []
  if (signature === undefined) throw new Error('the signer gave no signature')
  const { accessKeyId, sessionToken } = credentials
  return {
    ...{ accessKeyId, region, signature, date: amzDate(now) },
    ...(sessionToken === undefined ? {} : { sessionToken }),
  }
}

async function withClient<T>(options: AwsProofOptions, work: (client: STSClient) => Promise<T>): Promise<T> {
  // Without `credentials` the client uses the SDK's whole chain: environment, shared files, container, instance.
  const { STSClient } = await import('@aws-sdk/client-sts')
  const client = new STSClient({
    maxAttempts: 2,
    ...(options.region === undefined ? {} : { region: options.region }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  })
  try {
    return await work(client)
  } catch (error) {
    throw error instanceof IdentityFetchError ? error : unavailable(error)
  } finally {
    client.destroy()
  }
}

/**
 * A source of AWS proofs.
 * @throws (the source) IdentityFetchError `aws-unavailable`
 */
export function awsProofSource(options: AwsProofOptions): MadeSource {
  const { kind } = options
  const signed = async (client: STSClient, wanted: ProofWanted): Promise<ShownProof> => {
    const now = options.clock?.() ?? new Date()
    return { aws: await sign(await client.config.region(), client, wanted, now) }
  }
  return {
    kind: 'made',
    make: (wanted) =>
      withClient(options, async (client) => {
        if (kind === 'sigv4') return signed(client, wanted)
        try {
          return { token: await requestToken(client, wanted) }
        } catch (error) {
          if (kind === 'web-identity' || !NO_TOKEN.has(nameOf(error))) throw error
          options.onFallback?.(`no web identity token (${nameOf(error)})`)
          return signed(client, wanted)
        }
      }),
    // An authority may take tokens of some accounts alone, and signatures of all that it lists.
    makeOther:
      kind === 'auto'
        ? (wanted, refusal) => {
            options.onFallback?.(`the web identity token was refused (${refusal})`)
            return withClient(options, (client) => signed(client, wanted))
          }
        : null,
  }
}
