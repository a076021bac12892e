// `sallyport audit`: what auditors ask of the records.
import type { Command } from '@commander-js/extra-typings'

const VERIFY_HELP = `
Each FILE holds lines of one or more gateways, in any order of files; - is standard input. Finds records that were changed,
removed, repeated or put into another order, and by checkpoints what was cut off at the end. Lines of the log and metrics
between the records are passed over.

--checkpoints names what the second sink kept: files, or directories with the objects of the bucket. --bundle with
--trust-domain checks that checkpoints were signed by the gateway, at a time at which its certificate was valid; without
them a signature only shows that nothing changed since somebody signed.

Exit status: 0 whole, 1 something is wrong, 2 wrong use or a file that cannot be read.

Examples:
  sallyport audit verify audit.jsonl audit.jsonl.1
  sallyport audit verify audit.jsonl --checkpoints checkpoints/ --bundle bundle.pem --trust-domain example.org`

const EXPLAIN_HELP = `
ID is the session of a record, of an answer ("session" in its body), or a connection. Says who it was and by which proof
(--issuances: the authority's issuance records, JSON lines), which policies decided, their owner and ticket (--config: where the
policy is still the one that decided), to what, presenting which certificate, how much, and how it ended. Verifies nothing:
that is for \`sallyport audit verify\`.

Exit status: 0 found, 1 not found, 2 wrong use or a file that cannot be read.

Example:
  sallyport audit explain 01K0000000000000000000000A --audit audit.jsonl --issuances issuances.jsonl --config gateway.yaml`

/** Adds the commands to the program. */
export function registerAudit(program: Command): void {
  const audit = program
    .command('audit')
    .summary('verify audit records, and tell the story of a session')
    .description('Work with audit records.')
  audit
    .command('verify')
    .summary('find what was changed, removed or cut off in audit logs')
    .description('Verify the chains of audit logs and their checkpoints.')
    .argument('<file...>', 'audit logs; - is standard input')
    .option('--checkpoints <place...>', 'what the second sink kept: files or directories')
    .option('--bundle <file>', 'roots of the trust domain, PEM or a SPIFFE bundle')
    .option('--trust-domain <name>', 'the trust domain of the roots')
    .option('--gateway-id <id>', 'who signs (default: spiffe://<trust domain>/sallyport/gateway)')
    .option('--partial', 'chains may begin before the files do and end behind them')
    .option('--json', 'print JSON')
    .addHelpText('after', VERIFY_HELP)
    .action(async (files, options) => {
      const { runVerify } = await import('../audit/run-verify.ts')
      process.exitCode = await runVerify(files, options)
    })
  audit
    .command('explain')
    .summary('tell the story of a session')
    .description('Tell the story of a session from its audit records.')
    .argument('<id>', 'the session')
    .requiredOption('--audit <file...>', 'audit logs; - is standard input')
    .option('--issuances <file...>', 'issuance records of the authority, JSON lines')
    .option('--config <file>', 'gateway.yaml, for owner and ticket of policies')
    .option('--json', 'print JSON')
    .addHelpText('after', EXPLAIN_HELP)
    .action(async (id, options) => {
      const { runExplain } = await import('../audit/run-explain.ts')
      process.exitCode = await runExplain(id, options)
    })
}
