// `sallyport diagnose`: why a workload does or does not reach a service, step by step.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
Walks the way of a session with the gateway's own code and its configuration: listener, destination, policy, name
resolution, address classes, each attempt to connect, startTls, TLS, client certificate. Prints what each step found and
took, what was shown and what the server showed, and ends with one line that says what to do. It connects for real, from
where it runs: run it where the gateway runs. No byte of a session is sent, and nothing is written to the audit.

A destination with tls: passthrough ends at TCP, since the client speaks TLS itself; --server-name tries the name that the
client would show, and a handshake with it. A policy that reads context.sourceIp is asked about --source-ip; of serial
numbers and VPC endpoints there are none here.

Exit status: 0 reached, 1 a "no" (or a configuration that is wrong), 2 wrong use.

Examples:
  sallyport diagnose --config gateway.yaml --workload spiffe://example.org/payments/api --to api.bank.example:443
  sallyport diagnose --config gateway.yaml --network legacy-batch --to feeds.example:443 --server-name feeds.example --json`

/** Adds the command to the program. */
export function registerDiagnose(program: Command): void {
  program
    .command('diagnose')
    .summary('find out why a workload does or does not reach a service')
    .description('Find out why a workload does or does not reach a service.')
    .requiredOption('--config <file>', 'gateway.yaml')
    .option('--workload <id>', 'who asks: a SPIFFE ID')
    .option('--network <name>', 'who asks instead: an entry of networks')
    .requiredOption('--to <host:port>', 'what is asked for')
    .option('--listener <name>', 'by which listener (default: the first that lets such a caller in)')
    .option('--source-ip <address>', 'from which address (default: 127.0.0.1)')
    .option('--server-name <name>', 'with tls: passthrough: the name in the client’s ClientHello')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (options) => {
      // Not at the top: the policy engine alone takes longer to load than `--help` may take.
      const { runDiagnose } = await import('../diagnose/run.ts')
      process.exitCode = await runDiagnose(options)
    })
}
