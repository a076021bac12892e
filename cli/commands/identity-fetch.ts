// `sallyport identity fetch`: exchanges a token for an X.509-SVID and keeps it in a directory.
import { readFile } from 'node:fs/promises'
import type { Command } from '@commander-js/extra-typings'
import { parseDuration } from '../../common/duration.ts'
import { SallyportError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { IdentityFetchError } from '../identity/errors.ts'
import { type FetchedSvid, fetchX509Svid } from '../identity/fetch.ts'
import { storeIdentity } from '../identity/store.ts'
import { watchIdentity } from '../identity/watch.ts'

const HELP = `
Makes a new P-256 key, shows the token to the authority, checks the answer, and writes key.pem (0600), certificate.pem,
bundle.json and bundle.pem. With --watch it stays, reads the token anew each time and renews at half life.

Example:
  sallyport identity fetch --authority https://identity.example.org --trust-domain example.org \\
    --oidc-token-file /var/run/token --out /run/identity --watch`

interface FetchOptions {
  authority: string
  authorityCa?: string | undefined
  trustDomain: string
  oidcTokenFile?: string | undefined
  aws?: true | undefined
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

function checkUse(options: FetchOptions): { tokenFile: string; trustDomain: string; ttlSeconds?: number } {
  if (options.aws === true) throw new UsageError('--aws is not available yet: use --oidc-token-file')
  if (options.oidcTokenFile === undefined) throw new UsageError('--oidc-token-file is missing')
  try {
    return {
      tokenFile: options.oidcTokenFile,
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
  const { tokenFile, trustDomain, ...ttl } = checkUse(options)
  const { authorityCa, registration } = options
  const svid = await fetchX509Svid({
    authorityUrl: options.authority,
    ca: authorityCa === undefined ? null : await readText(authorityCa, '--authority-ca'),
    token: await readToken(tokenFile),
    trustDomain,
    ...ttl,
    ...(registration === undefined ? {} : { registration }),
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
    .summary('exchange a token for an X.509-SVID')
    .description('Exchange a token for an X.509-SVID and keep it in a directory.')
    .requiredOption('--authority <url>', 'the authority')
    .option('--authority-ca <file>', 'PEM of the CA of its TLS certificate (default: the system trusts it)')
    .requiredOption('--trust-domain <name>', 'the trust domain that the identity must be in')
    .option('--oidc-token-file <file>', 'a file with the OIDC token to show')
    .option('--aws', 'prove an AWS IAM role (not available yet)')
    .requiredOption('--out <directory>', 'where to keep key, certificate and bundle')
    .option('--registration <name>', 'which registration, where several match')
    .option('--ttl <duration>', 'a shorter life than the registration gives, such as 10m')
    .option('--watch', 'stay, and renew at half life')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(run)
}
