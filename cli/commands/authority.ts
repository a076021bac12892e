// `sallyport authority`: the authority on a socket, for installations without Lambda and for development.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Command } from '@commander-js/extra-typings'
import { SallyportError } from '../../common/errors.ts'
import { ConfigurationError } from '../../common/fault.ts'
import { rotateFileAuthority } from '../../lambdas/identity/authority/file.ts'
import { type IdentityConfig, loadIdentityConfig } from '../../lambdas/identity/config.ts'
import { createStderrLog } from '../../lambdas/identity/log.ts'
import { EnvironmentError, readIdentityEnvironment } from '../../lambdas/identity/environment.ts'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import { AuthorityServerError, type RunningAuthority, startAuthority } from '../../lambdas/identity/server.ts'

const HELP = `
Issues SPIFFE X.509-SVIDs and JWT-SVIDs to callers that prove who they are: by their AWS IAM role (a web identity token,
or a signed GetCallerIdentity) or by a token of a configured OIDC issuer. The CA is made in the directory that the
configuration names when there is none. Prints one line of JSON when it listens; logs go to standard error. SIGTERM ends it.

Example:
  sallyport authority --config identity.yaml --address 127.0.0.1:8080`

async function load(configFile: string): Promise<IdentityConfig> {
  let text: string
  try {
    text = await readFile(configFile, 'utf8')
  } catch (error) {
    const message = `cannot be read: ${errnoOf(error) ?? 'unknown error'}`
    throw new ConfigurationError([{ file: configFile, line: null, key: null, message, remedy: null }])
  }
  const environment = readIdentityEnvironment(process.env)
  return loadIdentityConfig({ file: configFile, text, environment })
}

async function start(configFile: string, address: string): Promise<RunningAuthority> {
  return startAuthority({ config: await load(configFile), address })
}

/** One line for each fault; what is not an expected failure is a bug, and goes on as it is. */
function report(error: unknown): number {
  if (!(error instanceof SallyportError || error instanceof ConfigurationError)) throw error
  for (const line of error.message.split('\n')) process.stderr.write(`sallyport: ${line}\n`)
  const wrongUse = error instanceof AuthorityServerError && error.code === 'address-malformed'
  return wrongUse || error instanceof UsageError || error instanceof EnvironmentError ? 2 : 1
}

/** Wrong use of the command: nothing was tried. */
class UsageError extends SallyportError<'usage'> {}

/** Commander would ask for the options of `authority` in `authority rotate` too, so they are asked for here. */
function need(value: string | undefined, option: string): string {
  if (value === undefined)
    throw new UsageError('usage', `${option} is missing (add --help for how to use it)`)
  return value
}

async function run(options: { config?: string | undefined; address?: string | undefined }): Promise<void> {
  const stop = Promise.withResolvers<void>()
  // Before the start, so that a signal during it is not the default death.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.resolve())
  try {
    await using authority = await start(need(options.config, '--config'), need(options.address, '--address'))
    const line = { event: 'listening', listener: 'authority', address: authority.address }
    process.stdout.write(`${JSON.stringify(line)}\n`)
    await stop.promise
  } catch (error) {
    process.exitCode = report(error)
  }
}

interface RotateOptions {
  readonly config: string
  readonly root?: true | undefined
  readonly jwt?: true | undefined
  readonly json?: true | undefined
}

async function rotateFiles(options: RotateOptions) {
  const { authority, trustDomain } = await load(options.config)
  if (!('directory' in authority)) {
    throw new UsageError(
      'usage',
      'the CA is in Secrets Manager: tag the secret sallyport:rotate with what to replace and a new word, such as ' +
        '"root jwt 2026-11-24", and rotate it there (aws secretsmanager rotate-secret)',
    )
  }
  const advanced = await rotateFileAuthority(
    {
      directory: authority.directory,
      trustDomain,
      clock: () => new Date(),
      random: (bytes) => randomBytes(bytes),
      log: createStderrLog(),
    },
    { issuing: true, root: options.root === true, jwt: options.jwt === true },
  )
  return {
    sequence: advanced.document.sequence,
    issuingNotAfter: advanced.document.issuing.notAfter,
    issuingRenewed: advanced.issuingRenewed,
    rootActivatesAt: advanced.publishedRoot?.activateAt ?? null,
    jwtKeyActivatesAt: advanced.publishedJwtKey?.activateAt ?? null,
    blocked: advanced.blocked,
  }
}

async function rotate(options: RotateOptions): Promise<void> {
  try {
    const done = await rotateFiles(options)
    if (options.json === true) process.stdout.write(`${JSON.stringify(done)}\n`)
    else {
      const lines = [
        done.issuingRenewed ? `new issuing CA until ${done.issuingNotAfter}` : null,
        done.rootActivatesAt === null ? null : `new root published; it signs from ${done.rootActivatesAt}`,
        done.jwtKeyActivatesAt === null
          ? null
          : `new JWT key published; it signs from ${done.jwtKeyActivatesAt}`,
        ...done.blocked.map((reason) => `not done: ${reason}`),
      ]
      for (const line of lines) if (line !== null) process.stdout.write(`${line}\n`)
    }
    if (done.blocked.length > 0) process.exitCode = 1
  } catch (error) {
    process.exitCode = report(error)
  }
}

const ROTATE_HELP = `
Replaces the issuing CA of a CA in files now, and does all else that is due. With --root or --jwt a successor of the root
or of the JWT key is published too; it signs five refresh hints (25 minutes) later, when verifiers have it. The old one
goes when all that it signed has ended. A running authority follows within a minute. Run it as the user that the authority
runs as.

Exit status: 0 done, 1 something was not done, 2 wrong use.`

/** Adds the command to the program. */
export function registerAuthority(program: Command): void {
  const authority = program
    .command('authority')
    .summary('issue SPIFFE identities')
    .description('Run the authority: issue SPIFFE identities over HTTP.')
    .enablePositionalOptions()
    .option('--config <file>', 'identity.yaml')
    .option('--address <host:port>', 'where to listen; port 0 picks a free port')
    .addHelpText('after', HELP)
    .action(run)
  authority
    .command('rotate')
    .summary('rotate the CA by hand')
    .description('Rotate the keys of a CA in files by hand.')
    .requiredOption('--config <file>', 'identity.yaml')
    .option('--root', 'publish a successor of the root')
    .option('--jwt', 'publish a successor of the JWT key')
    .option('--json', 'print JSON')
    .addHelpText('after', ROTATE_HELP)
    .action(rotate)
}
