// `sallyport sessions`: the live sessions of a running gateway, by its admin port.
import type { Command } from '@commander-js/extra-typings'

const HELP = `
On the gateway's machine its admin port answers to whoever is there. Elsewhere it listens where gateway.yaml has
admin.workloads, and takes those workloads by their X.509-SVIDs: --cert, --key and --ca, with an https:// address.

With --ecs the tasks of a service are found by the ECS API (ecs:ListTasks and ecs:DescribeTasks, with the credentials and
region that the AWS SDK finds), and each is asked at its own address over mTLS, those too that are about to end. Run it where
the tasks can be reached. Which did not answer is said, and makes the exit status 1: what they hold is neither listed nor closed.

Exit status: 0 success, 1 a "no" (refused, not found, no answer), 2 wrong use.

Examples:
  sallyport sessions list --workload 'spiffe://example.org/payments/**' --older-than 1h
  sallyport sessions close 01KB2V7Q3M4N5P6R7S8T9VWXYZ
  sallyport sessions close --destination partner-bank
  sallyport sessions list --admin https://10.0.3.7:9901 --cert admin.pem --key admin.key --ca bundle.pem
  sallyport sessions close --ecs sallyport-prod/gateway --destination partner-bank --cert admin.pem --key admin.key --ca bundle.pem`

/** Adds the commands to the program. */
export function registerSessions(program: Command): void {
  const sessions = program
    .command('sessions')
    .summary('list and close the live sessions of a gateway')
    .description('List and close the live sessions of a gateway.')
    .addHelpText('after', HELP)
  filtered(sessions.command('list').description('List live sessions.')).action(async (options) => {
    const { listSessions } = await import('../sessions/run.ts')
    process.exitCode = await listSessions(options)
  })
  filtered(sessions.command('close').description('Close live sessions, by id or by filter.'))
    .argument('[id...]', 'ids of sessions')
    .action(async (ids, options) => {
      const { closeSessions } = await import('../sessions/run.ts')
      process.exitCode = await closeSessions(ids, options)
    })
}

function filtered<Args extends unknown[], Options extends Record<string, unknown>>(
  command: Command<Args, Options>,
) {
  return command
    .option('--admin <url>', 'the admin port (default: http://127.0.0.1:9901)')
    .option('--ecs <cluster/service>', 'every task of an ECS service')
    .option('--admin-port <port>', 'with --ecs: the admin port of the tasks (default: 9901)')
    .option('--cert <file>', 'an X.509-SVID that admin.workloads names, with its chain, PEM')
    .option('--key <file>', 'its private key')
    .option('--ca <file>', 'the roots of the trust domain, PEM')
    .option(
      '--gateway-id <id>',
      'SPIFFE ID of the gateway (default: /sallyport/gateway in the trust domain of --cert)',
    )
    .option('--workload <id>', 'a SPIFFE ID, or one that ends in /* or /**')
    .option('--network <name>', 'an entry of networks')
    .option('--destination <name>', 'a destination')
    .option('--listener <name>', 'a listener')
    .option('--older-than <duration>', 'open for longer than that, such as 10m')
    .option('--min-bytes <size>', 'moved at least that much in both directions together, such as 1MiB')
    .option('--json', 'print JSON')
}
