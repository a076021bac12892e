// What `identity fetch` was asked for, from its options: what is contradictory or can never work is wrong use, and is
// said before anything is tried.
import { parseDuration } from '../../common/duration.ts'
import { SallyportError } from '../../common/errors.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { type AwsProofKind, awsProofSource } from '../../common/authority/aws-proof.ts'
import { tokenFileSource } from '../../common/authority/token-file.ts'
import type { ProofSource } from '../../common/authority/proof.ts'

export interface FetchOptions {
  authority: string
  authorityCa?: string | undefined
  trustDomain: string
  oidcTokenFile?: string | undefined
  aws?: true | undefined
  awsProof?: string | undefined
  awsRegion?: string | undefined
  audience?: string | undefined
  out: string
  registration?: string | undefined
  ttl?: string | undefined
  watch?: true | undefined
  json?: true | undefined
}

export interface Use {
  readonly proof: ProofSource
  readonly trustDomain: string
  readonly ttlSeconds?: number
}

const MIN_TTL_MS = 60_000
const MAX_TTL_MS = 24 * 3_600_000

/** Wrong use of the command: nothing was tried. */
class UsageError extends SallyportError<'usage'> {
  constructor(message: string) {
    super('usage', message)
  }
}

function readTtl(text: string | undefined): { ttlSeconds?: number } {
  if (text === undefined) return {}
  const ms = parseDuration(text)
  if (ms === null || ms < MIN_TTL_MS || ms > MAX_TTL_MS)
    throw new UsageError(`--ttl: expected a duration of 1m to 24h, found ${text}`)
  return { ttlSeconds: Math.floor(ms / 1000) }
}

function readAwsKind(text: string | undefined): AwsProofKind {
  if (text === undefined) return 'auto'
  const kind = (['auto', 'web-identity', 'sigv4'] as const).find((name) => name === text)
  if (kind === undefined)
    throw new UsageError(`--aws-proof: expected auto, web-identity or sigv4, found ${text}`)
  return kind
}

function chooseProof(options: FetchOptions): ProofSource {
  const { aws, oidcTokenFile: file, awsRegion } = options
  if ((aws === true) === (file !== undefined)) {
    throw new UsageError('expected one of --oidc-token-file and --aws')
  }
  if (file !== undefined) {
    for (const [option, value] of [
      ['--aws-proof', options.awsProof],
      ['--aws-region', awsRegion],
    ]) {
      if (value !== undefined) throw new UsageError(`${option} goes with --aws`)
    }
    return tokenFileSource(file, '--oidc-token-file')
  }
  return awsProofSource({
    kind: readAwsKind(options.awsProof),
    ...(awsRegion === undefined ? {} : { region: awsRegion }),
    onFallback: (reason) => {
      process.stderr.write(`sallyport: ${reason}: GetCallerIdentity is signed instead\n`)
    },
  })
}

/** @throws SallyportError `usage` */
export function checkUse(options: FetchOptions): Use {
  const proof = chooseProof(options)
  const ttl = readTtl(options.ttl)
  try {
    return { proof, trustDomain: parseTrustDomain(options.trustDomain), ...ttl }
  } catch (error) {
    throw new UsageError(`--trust-domain: ${error instanceof Error ? error.message : 'malformed'}`)
  }
}
