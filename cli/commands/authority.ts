// `sallyport authority`: the authority on a socket, for installations without Lambda and for development.
import { readFile } from 'node:fs/promises'
import type { Command } from '@commander-js/extra-typings'
import { SallyportError } from '../../common/errors.ts'
import { ConfigurationError } from '../../common/fault.ts'
import { loadIdentityConfig } from '../../lambdas/identity/config.ts'
import { EnvironmentError, readIdentityEnvironment } from '../../lambdas/identity/environment.ts'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import { AuthorityServerError, type RunningAuthority, startAuthority } from '../../lambdas/identity/server.ts'

const HELP = `
Issues SPIFFE X.509-SVIDs to callers that prove who they are by a token of a configured issuer. The CA is made in the
directory that the configuration names when there is none. Prints one line of JSON when it listens; logs go to standard
error. SIGTERM ends it.

Example:
  sallyport authority --config identity.yaml --address 127.0.0.1:8080`

async function start(configFile: string, address: string): Promise<RunningAuthority> {
  let text: string
  try {
    text = await readFile(configFile, 'utf8')
  } catch (error) {
    const message = `cannot be read: ${errnoOf(error) ?? 'unknown error'}`
    throw new ConfigurationError([{ file: configFile, line: null, key: null, message, remedy: null }])
  }
  const environment = readIdentityEnvironment(process.env)
  return startAuthority({ config: loadIdentityConfig({ file: configFile, text, environment }), address })
}

/** One line for each fault; what is not an expected failure is a bug, and goes on as it is. */
function report(error: unknown): number {
  if (!(error instanceof SallyportError || error instanceof ConfigurationError)) throw error
  for (const line of error.message.split('\n')) process.stderr.write(`sallyport: ${line}\n`)
  const wrongUse = error instanceof AuthorityServerError && error.code === 'address-malformed'
  return wrongUse || error instanceof EnvironmentError ? 2 : 1
}

async function run(options: { config: string; address: string }): Promise<void> {
  const stop = Promise.withResolvers<void>()
  // Before the start, so that a signal during it is not the default death.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.resolve())
  try {
    await using authority = await start(options.config, options.address)
    const line = { event: 'listening', listener: 'authority', address: authority.address }
    process.stdout.write(`${JSON.stringify(line)}\n`)
    await stop.promise
  } catch (error) {
    process.exitCode = report(error)
  }
}

/** Adds the command to the program. */
export function registerAuthority(program: Command): void {
  program
    .command('authority')
    .summary('issue SPIFFE identities')
    .description('Run the authority: issue SPIFFE identities over HTTP.')
    .requiredOption('--config <file>', 'identity.yaml')
    .requiredOption('--address <host:port>', 'where to listen; port 0 picks a free port')
    .addHelpText('after', HELP)
    .action(run)
}
