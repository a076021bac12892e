// The `sallyport` program: its commands, and what they share: help, suggestions and exit codes.
import { Command } from '@commander-js/extra-typings'
import { VERSION } from '../common/version.ts'
import { registerAudit } from './commands/audit.ts'
import { registerAuthority } from './commands/authority.ts'
import { registerConfigCheck } from './commands/config-check.ts'
import { registerDev } from './commands/dev.ts'
import { registerDiagnose } from './commands/diagnose.ts'
import { registerGateway } from './commands/gateway.ts'
import { registerRevoke } from './commands/revoke.ts'
import { registerSessions } from './commands/sessions.ts'
import { registerIdentityFetch } from './commands/identity-fetch.ts'
import { registerPolicy } from './commands/policy.ts'

const HELP = `
New here? \`sallyport dev\` runs everything on this machine and shows what it does. Then look at the files that it runs
on, in .sallyport/, and at \`sallyport config check\`.

Exit status: 0 success, 1 a "no" (denied, invalid, could not start), 2 wrong use.`

/** The whole command line; `parseAsync` of what it gives runs one command. */
export function createProgram(): Command {
  const program = new Command('sallyport')
    .description('Sallyport: an identity-aware mTLS egress gateway, and the SPIFFE authority that it trusts.')
    .version(VERSION)
    // Options belong to the command they stand behind: `authority` and `authority rotate` both have --config.
    .enablePositionalOptions()
    // Before the commands, which take it over: without it wrong use would exit 1, which means "no" here.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .showHelpAfterError('(add --help for how to use it)')
    .addHelpText('after', HELP)
  registerDev(program)
  registerGateway(program)
  registerAuthority(program)
  registerIdentityFetch(program)
  registerConfigCheck(program)
  registerDiagnose(program)
  registerPolicy(program)
  registerAudit(program)
  registerRevoke(program)
  registerSessions(program)
  return program
}
