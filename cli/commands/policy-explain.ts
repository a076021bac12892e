// `sallyport policy explain`: what policy answers to one question, and why.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
Asks what the gateway would ask: the destination is found by host and port, and the policies of the configuration answer.
Shows which policies decided, with file, line, owner, ticket and reason; for a denial, the permits that are nearest and
what would have to be true for each. Policy alone: \`sallyport diagnose\` walks the rest of the way too.

Exit status: 0 let through, 1 denied (or a configuration that is wrong), 2 wrong use.

Examples:
  sallyport policy explain --config gateway.yaml --workload spiffe://example.org/payments/api --to api.bank.example:443
  sallyport policy explain --config gateway.yaml --network legacy-batch --to feeds.example:443 --at 2027-07-01 --json`

/** Adds the command to `policy`. */
export function registerPolicyExplain(policy: Command): void {
  policy
    .command('explain')
    .summary('say what policy answers, and why')
    .description('Say what policy answers to one question, and why.')
    .requiredOption('--config <file>', 'gateway.yaml')
    .option('--workload <id>', 'who asks: a SPIFFE ID')
    .option('--network <name>', 'who asks instead: an entry of networks')
    .requiredOption('--to <host:port>', 'what is asked for')
    .option('--listener <name>', 'by which listener (default: the first that lets such a caller in)')
    .option('--source-ip <address>', 'from which address (default: 127.0.0.1)')
    .option('--serial <hex>', 'serial number of the certificate (default: none)')
    .option('--vpc-endpoint <id>', 'by which VPC endpoint (default: none)')
    .option('--at <time>', 'at which time, such as 2027-06-30T12:00:00Z (default: now)')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (options) => {
      // Not at the top: the policy engine alone takes longer to load than `--help` may take.
      const { runExplain } = await import('../policy/explain.ts')
      process.exitCode = await runExplain(options)
    })
}
