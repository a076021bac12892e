// `sallyport identity fetch`: exchanges a token, or AWS credentials, for an X.509-SVID and keeps it in a directory.
import { constants } from 'node:os'
import type { Command } from '@commander-js/extra-typings'
import { readNamed } from '../../common/authority/token-file.ts'
import { SallyportError } from '../../common/errors.ts'
import { type FetchedSvid, fetchX509Svid } from '../identity/fetch.ts'
import { createKeyRing, type KeyRing } from '../../common/authority/keys.ts'
import { checkStore, storeIdentity } from '../identity/store.ts'
import { checkUse, type FetchOptions } from '../identity/use.ts'
import { watchIdentity } from '../identity/watch.ts'

const HELP = `
Makes a new P-256 key, shows the proof to the authority, checks the answer, and keeps key.pem (0600), certificate.pem,
bundle.json and bundle.pem in the directory, replaced all at once: they are links through ..data, and who reads several
of them resolves that link first. With --watch it stays, makes or reads the proof anew each time and renews at half life.
As long as a token file holds the same token, its key stays the same too, since an authority may tie the two.

With --aws the credentials are those that the AWS SDK finds (environment, shared files, container, instance). A web
identity token is asked for first; where the account or the role does not allow it, or the authority refuses the token,
GetCallerIdentity is signed instead. AWS proofs are made for the authority's issuer, which is taken to be its URL; where
it has another audience, say --audience.

Examples:
  sallyport identity fetch --authority https://identity.example.org --trust-domain example.org \\
    --oidc-token-file /var/run/token --out /run/identity --watch
  sallyport identity fetch --authority https://identity.example.org --trust-domain example.org --aws --out identity`

function print(svid: FetchedSvid, options: FetchOptions): void {
  const { spiffeId, serialNumber, registration, expiresAt, renewAfter } = svid
  const line =
    options.json === true
      ? JSON.stringify({ spiffeId, serialNumber, expiresAt, renewAfter, registration, out: options.out })
      : `${spiffeId} until ${expiresAt} (serial ${serialNumber}, registration ${registration}), written to ${options.out}`
  process.stdout.write(`${line}\n`)
}

async function fetchOnce(options: FetchOptions, keys: KeyRing): Promise<Date> {
  const { proof, trustDomain, ...ttl } = checkUse(options)
  const { authorityCa, registration, audience, out } = options
  const ca = authorityCa === undefined ? null : await readNamed(authorityCa, '--authority-ca')
  // Before the proof is shown, which may be good for one showing alone.
  await checkStore(out, trustDomain)
  const svid = await fetchX509Svid({
    authorityUrl: options.authority,
    ...{ ca, proof, trustDomain, keys },
    ...ttl,
    ...(registration === undefined ? {} : { registration }),
    ...(audience === undefined ? {} : { audience }),
  })
  await storeIdentity(out, svid, trustDomain)
  print(svid, options)
  return new Date(svid.renewAfter)
}

/** 1 for a "no", 2 for wrong use; what is not an expected failure is a bug and goes on as it is. */
function report(error: unknown): number {
  if (!(error instanceof SallyportError)) throw error
  process.stderr.write(`sallyport: ${error.message}\n`)
  return error.code === 'usage' || error.code === 'authority-url' ? 2 : 1
}

/**
 * A signal ends the command at once, whatever it waits for: what is on disk is whole at any moment. It is a failure
 * until there is an identity, and the wanted end of a watch.
 */
function endOnSignals(isWatching: () => boolean): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => process.exit(isWatching() ? 0 : 128 + constants.signals[signal]))
  }
}

async function run(options: FetchOptions): Promise<void> {
  let watching = false
  endOnSignals(() => watching)
  try {
    const keys = createKeyRing()
    const renewAfter = await fetchOnce(options, keys)
    if (options.watch !== true) return
    watching = true
    await watchIdentity(renewAfter, { renew: () => fetchOnce(options, keys), onFailure: report })
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
    .option('--audience <text>', 'what AWS proofs are made for (default: the URL of --authority)')
    .requiredOption('--out <directory>', 'where to keep key, certificate and bundle')
    .option('--registration <name>', 'which registration, where several match')
    .option('--ttl <duration>', 'a shorter life than the registration gives, such as 10m')
    .option('--watch', 'stay, and renew at half life')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(run)
}
