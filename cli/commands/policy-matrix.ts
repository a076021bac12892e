// `sallyport policy matrix`: who reaches what, as a table.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
Rows are the paths, workloads and networks that the policies and the clientCertificates of the configuration name, and
those of --workloads; columns are destinations. A row that ends in /** is about whatever workload is below it.

  allow   every question from this row is allowed now
  ·       none is
  if      it depends: on host, port, listener, address, serial number, or on which workload below the path asks

Policies are named below the table; --json has them for each field.

Exit status: 0, 1 where the configuration is wrong, 2 wrong use.

Examples:
  sallyport policy matrix --config gateway.yaml
  sallyport policy matrix --config gateway.yaml --workloads workloads.txt --at 2027-07-01 --json`

/** Adds the command to `policy`. */
export function registerPolicyMatrix(policy: Command): void {
  policy
    .command('matrix')
    .summary('show who reaches what')
    .description('Show who reaches what: workload paths by destinations.')
    .requiredOption('--config <file>', 'gateway.yaml')
    .option('--workloads <file>', 'more rows: SPIFFE IDs or patterns, one a line')
    .option('--at <time>', 'at which time (default: now)')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (options) => {
      const { runMatrix } = await import('../policy/matrix.ts')
      process.exitCode = await runMatrix(options)
    })
}
