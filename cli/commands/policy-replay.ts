// `sallyport policy replay`: what another policy would have said to the sessions that there were.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
Reads audit events, one JSON object a line, and asks the candidate policy about each closed session (event "session") what
the gateway asked then: who, for what, by which listener, from where, at the session's own time. Destinations are those of
the configuration as it is. Sessions that ended before policy was asked are counted and skipped. What was denied in mode
report counts as denied. Memory does not grow with the length of the files.

Exit status: 0 every session would be decided alike, 1 some would not (or something is wrong with the files), 2 wrong use.

Examples:
  sallyport policy replay --config gateway.yaml --policy new.cedar --audit audit.jsonl
  zcat audit-*.gz | sallyport policy replay --config gateway.yaml --policy a.cedar --policy b.cedar --audit - --json`

/** Adds the command to `policy`. */
export function registerPolicyReplay(policy: Command): void {
  policy
    .command('replay')
    .summary('say which past sessions a candidate policy would decide otherwise')
    .description('Say which past sessions a candidate policy would refuse, or newly allow.')
    .requiredOption('--config <file>', 'gateway.yaml')
    .requiredOption('--audit <file...>', 'audit events, one JSON object a line; - is standard input')
    .requiredOption('--policy <file...>', 'the candidate: all of its files')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (options) => {
      const { runReplay } = await import('../policy/replay.ts')
      process.exitCode = await runReplay(options)
    })
}
