// `sallyport revoke`: puts an entry into a list of revocations and gives it to the gateways.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
The list is a file, or a profile of AWS AppConfig of its own; --revocations or SALLYPORT_REVOCATIONS names it. A file is
replaced at once, what stands in it stays as it is, and gateways see it within two seconds. In AppConfig the entry is
added to the newest version, the new one is deployed to all at once, and the command waits until that is complete: the
gateways ask every 15 seconds. Another deployment that is running is waited for. Where a command ended after it had
written and before it had deployed, the same command again deploys.

The deployment strategy is the one named as the application, which the deployment of Sallyport makes. AWS's own
AppConfig.AllAtOnce stays "running" for ten minutes, in which nobody can revoke anything else.

Credentials and region are those that the AWS SDK finds.

Exit status: 0 it is in force, 1 a "no" (revoked already, not found, not deployed), 2 wrong use.

Examples:
  sallyport revoke --workload spiffe://example.org/payments/api --reason "host compromised, INC-7" \\
    --revocations appconfig:sallyport-prod-revocations/gateway/revocations
  sallyport revoke --serial 5f0a91 --reason "key found in a repository" --revocations file:revocations.yaml
  sallyport revoke --workload 'spiffe://example.org/batch/**' --reason "under investigation" --until 2027-06-30T00:00:00Z
  sallyport revoke --list
  sallyport revoke --remove --serial 5f0a91`

/** Adds the command to the program. */
export function registerRevoke(program: Command): void {
  program
    .command('revoke')
    .summary('revoke a workload, certificate, token or destination, in all gateways')
    .description('Revoke a workload, certificate, token or destination, whatever policy says of it.')
    .option('--workload <id>', 'a SPIFFE ID, or one that ends in /* or /**')
    .option('--serial <hex>', 'serialNumber of a record: of one certificate')
    .option('--token <id>', 'tokenId of a record')
    .option('--destination <name>', 'a destination, for everybody')
    .option('--reason <text>', 'why, in one line; it stands in the record')
    .option('--until <time>', 'RFC 3339 with zone; default: until it is removed')
    .option('--remove', 'take entries away instead')
    .option('--list', 'show the list instead')
    .option('--revocations <source>', 'file:<path> or appconfig:<application>/<environment>/<profile>')
    .option('--strategy <name>', 'deployment strategy of AppConfig (default: named as the application)')
    .option('--timeout <duration>', 'how long to wait for deployments', '2m')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (options) => {
      const [{ runRevoke }, { createControlClient }] = await Promise.all([
        import('../revoke/run.ts'),
        import('../revoke/control-client.ts'),
      ])
      const { env, stdout, stderr } = process
      process.exitCode = await runRevoke(options, {
        ...{ env, stdout, stderr, now: () => new Date() },
        client: createControlClient,
      })
    })
}
