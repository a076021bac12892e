// `sallyport gateway`: the gateway as a process.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
Takes mTLS connections of workloads with a SPIFFE identity, decides by policy where each may go, and opens TLS or mTLS
to the destination. Standard output carries start lines and audit events, one JSON object a line; logs go to standard
error. SIGTERM drains: readiness off, listeners open for the configured delay, live sessions until the deadline, exit 0;
each further signal ends the delay or the deadline. A configuration that changes is taken as a whole while it runs, every other second or
at SIGHUP; one that is wrong is reported, and the last one stays. SIGHUP also opens the audit file anew where it was renamed.

Exit status: 0 after a drain, 1 where the configuration is wrong or a port cannot be had, 2 wrong use.

Example:
  sallyport gateway --config gateway.yaml`

/** Adds the command to the program. */
export function registerGateway(program: Command): void {
  program
    .command('gateway')
    .summary('run the egress gateway')
    .description('Run the egress gateway.')
    .requiredOption('--config <file>', 'gateway.yaml, or appconfig:<application>/<environment>/<profile>')
    .addHelpText('after', HELP)
    .action(async ({ config }) => {
      // Not at the top: the policy engine alone takes longer to load than `--help` may take.
      const { runGateway } = await import('../../gateway/run.ts')
      // As in gateway/main.ts.
      process.exit(await runGateway({ configFile: config }))
    })
}
