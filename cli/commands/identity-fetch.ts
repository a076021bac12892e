// `sallyport identity fetch`: exchanges a token, or AWS credentials, for an X.509-SVID and keeps it in a directory.
import { readFile } from 'node:fs/promises'
import type { Command } from '@commander-js/extra-typings'
import { parseDuration } from '../../common/duration.ts'
import { SallyportError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { IdentityFetchError } from '../identity/errors.ts'
import { type AwsProofKind, awsProofSource } from '../identity/aws-proof.ts'
import { type FetchedSvid, fetchX509Svid } from '../identity/fetch.ts'
import { type ProofSource, tokenSource } from '../identity/proof.ts'
import { storeIdentity } from '../identity/store.ts'
import { watchIdentity } from '../identity/watch.ts'

const HELP = `
Makes a new P-256 key, shows the proof to the authority, checks the answer, and writes key.pem (0600), certificate.pem,
bundle.json and bundle.pem. With --watch it stays, makes or reads the proof anew each time and renews at half life.

With --aws the credentials are those that the AWS SDK finds (environment, shared files, container, instance). A web
identity token is asked for first; where the account or the role does not allow it, GetCallerIdentity is signed instead.

Examples:
  sallyport identity fetch --authority https://identity.example.org --trust-domain example.org \\
    --oidc-token-file /var/run/token --out /run/identity --watch
  sallyport identity fetch --authority https://identity.example.org --trust-domain example.org --aws --out identity`

interface FetchOptions {
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

const MAX_TOKEN_FILE = 20 * 1024

/** Wrong use of the command: nothing was tried. */
class UsageError extends SallyportError<'usage'> {
  constructor(message: string) {
    super('usage', message)
  }
}

function readTtl(text: string | undefined): { ttlSeconds?: number } {
  if (text === undefined) return {}
  const ms = parseDuration(text)
  if (ms === null || ms < 60_000)
    throw new UsageError(`--ttl: expected a duration of 1m or more, found ${text}`)
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
  if (file !== undefined) return tokenSource(() => readToken(file))
  return awsProofSource({
    kind: readAwsKind(options.awsProof),
    ...(awsRegion === undefined ? {} : { region: awsRegion }),
    onFallback: (reason) => {
      process.stderr.write(
        `sallyport: no web identity token (${reason}): GetCallerIdentity is signed instead\n`,
      )
    },
  })
}

function checkUse(options: FetchOptions): { proof: ProofSource; trustDomain: string; ttlSeconds?: number } {
  const proof = chooseProof(options)
  try {
    return {
      proof,
      trustDomain: parseTrustDomain(options.trustDomain),
      ...readTtl(options.ttl),
    }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`--trust-domain: ${error instanceof Error ? error.message : 'malformed'}`)
  }
}

async function readText(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const reason = errnoOf(error) ?? 'cannot be read'
    throw new IdentityFetchError('token-unreadable', `${option} ${file}: ${reason}`)
  }
}

async function readToken(file: string): Promise<Secret> {
  const text = (await readText(file, '--oidc-token-file')).trim()
  // Checked here because a header value with a line break would fail with a message that quotes the token.
  if (text.length > MAX_TOKEN_FILE || !/^[\w.-]+$/.test(text)) {
    throw new IdentityFetchError('token-unreadable', `--oidc-token-file ${file} holds no JWT`)
  }
  return new Secret(text)
}

function print(svid: FetchedSvid, options: FetchOptions): void {
  const { spiffeId, serialNumber, registration, expiresAt, renewAfter } = svid
  const line =
    options.json === true
      ? JSON.stringify({ spiffeId, serialNumber, expiresAt, renewAfter, registration, out: options.out })
      : `${spiffeId} until ${expiresAt} (serial ${serialNumber}, registration ${registration}), written to ${options.out}`
  process.stdout.write(`${line}\n`)
}

async function fetchOnce(options: FetchOptions): Promise<Date> {
  const { proof, trustDomain, ...ttl } = checkUse(options)
  const { authorityCa, registration, audience } = options
  const svid = await fetchX509Svid({
    authorityUrl: options.authority,
    ca: authorityCa === undefined ? null : await readText(authorityCa, '--authority-ca'),
    proof,
    trustDomain,
    ...ttl,
    ...(registration === undefined ? {} : { registration }),
    ...(audience === undefined ? {} : { audience }),
  })
  await storeIdentity(options.out, svid, trustDomain)
  print(svid, options)
  return new Date(svid.renewAfter)
}

/** 1 for a "no", 2 for wrong use; what is not an expected failure is a bug and goes on as it is. */
function report(error: unknown): number {
  if (!(error instanceof SallyportError)) throw error
  process.stderr.write(`sallyport: ${error.message}\n`)
  return error.code === 'usage' || error.code === 'authority-url' ? 2 : 1
}

async function run(options: FetchOptions): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  try {
    const renewAfter = await fetchOnce(options)
    if (options.watch !== true) return
    await watchIdentity(renewAfter, {
      renew: () => fetchOnce(options),
      onFailure: report,
      signal: stop.signal,
    })
  } catch (error) {
    process.exitCode = report(error)
  }
}

/** Adds `identity fetch` to the program. */
export function registerIdentityFetch(program: Command): void {
  program
    .command('identity')
    .summary('get the SPIFFE identity of a workload')
    .description('Work with the SPIFFE identity of a workload.')
    .command('fetch')
    .summary('exchange a token or AWS credentials for an X.509-SVID')
    .description('Exchange a token or AWS credentials for an X.509-SVID and keep it in a directory.')
    .requiredOption('--authority <url>', 'the authority')
    .option('--authority-ca <file>', 'PEM of the CA of its TLS certificate (default: the system trusts it)')
    .requiredOption('--trust-domain <name>', 'the trust domain that the identity must be in')
    .option('--oidc-token-file <file>', 'a file with the OIDC token to show')
    .option('--aws', 'prove the IAM role of the AWS credentials at hand')
    .option('--aws-proof <kind>', 'auto, web-identity or sigv4 (default: auto)')
    .option('--aws-region <region>', 'whose STS is asked (default: as the AWS SDK finds it)')
    .option('--audience <text>', "what AWS proofs are made for (default: the authority's URL)")
    .requiredOption('--out <directory>', 'where to keep key, certificate and bundle')
    .option('--registration <name>', 'which registration, where several match')
    .option('--ttl <duration>', 'a shorter life than the registration gives, such as 10m')
    .option('--watch', 'stay, and renew at half life')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(run)
}
