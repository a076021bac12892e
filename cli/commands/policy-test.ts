// `sallyport policy test`: a table of cases that a policy must answer as expected.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
A file of cases is YAML:

  version: 1
  config: gateway.yaml             # relative to this file
  cases:
    - name: payments reach the bank
      workload: spiffe://example.org/payments/api        # or network: NAME
      to: api.bank.example:443
      expect: allow                # or deny: what policy says, whatever its mode
      policies: [payments-to-bank] # if given: exactly these decide
    - {name: not after June, workload: spiffe://example.org/payments/api, to: "api.bank.example:443", at: 2027-07-01, expect: deny}

A case may also have listener, sourceIp, serialNumber and vpcEndpoint. Without \`at\` it is asked about now.

Exit status: 0 all cases are as expected, 1 one is not (or a file is wrong), 2 wrong use.

Examples:
  sallyport policy test policy.test.yaml
  sallyport policy test tests/*.yaml --json`

/** Adds the command to `policy`. */
export function registerPolicyTest(policy: Command): void {
  policy
    .command('test')
    .summary('check a table of cases')
    .description('Check that policy answers a table of cases as expected.')
    .argument('<file...>', 'YAML files of cases')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (files, options) => {
      const { runPolicyTest } = await import('../policy/test-run.ts')
      process.exitCode = await runPolicyTest(files, options)
    })
}
