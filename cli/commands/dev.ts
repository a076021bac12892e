// `sallyport dev`: the whole of Sallyport on this machine, and the story of what it is for, played once.
import path from 'node:path'
import { styleText } from 'node:util'
import type { Command } from '@commander-js/extra-typings'
import { type Environment, startEnvironment } from '../dev/environment.ts'
import { readEvents, playStory, type Step } from '../dev/story.ts'

const HELP = `
Starts on loopback, in this one process: an authority with a CA of its own, an OIDC issuer for development, a partner
that demands a client certificate, and the gateway between them. Then it plays a story: one workload gets its identity
and reaches the partner, a second is denied by policy, a third is kept from instance credentials. Each line shows what
really happened. It stays up until Ctrl-C and prints a curl command to try. Nothing leaves this machine.

Exit status: 0 all went well, 1 a step failed.

Examples:
  sallyport dev
  sallyport dev --once --json`

interface DevOptions {
  readonly once?: true | undefined
  readonly aws?: true | undefined
  readonly json?: true | undefined
  readonly directory: string
}

/** Adds the command to `program`. */
export function registerDev(program: Command): void {
  program
    .command('dev')
    .summary('run all of it on this machine and show what it does')
    .description('Run authority, gateway and a partner on this machine and show what Sallyport does.')
    .option('--once', 'play the story, then stop; exit 1 where a step failed')
    .option('--aws', 'prove IAM roles by SigV4, to an STS for development, instead of OIDC tokens')
    .option('--json', 'print {"steps":[{"name","ok","detail"}],"auditRecords":N} instead of text')
    .option(
      '--directory <path>',
      'where keys, configuration and records of the local run are kept',
      '.sallyport',
    )
    .addHelpText('after', HELP)
    .action(async (options) => {
      process.exitCode = await runDev(options)
    })
}

async function runDev(options: DevOptions): Promise<number> {
  const directory = path.resolve(options.directory)
  const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`)
  const report = (steps: readonly Step[], auditRecords: number): void => {
    if (options.json) process.stdout.write(`${JSON.stringify({ steps, auditRecords })}\n`)
  }
  say(`Sallyport on this machine, in ${directory}\n`)
  const started = await start(directory, options.aws === true)
  if ('name' in started) {
    say(formatStep(started))
    report([started], 0)
    return 1
  }
  await using environment = started
  const steps = await playStory(environment, (step) => say(formatStep(step)))
  report(steps, (await readEvents(environment)).filter(({ event }) => event === 'session').length)
  const failed = steps.some(({ ok }) => !ok)
  if (options.once || failed) return failed ? 1 : 0
  say(howToTry(environment))
  await stayUp(environment)
  return 0
}

/** Not starting is a failed step like any other. */
async function start(directory: string, aws: boolean): Promise<Environment | Step> {
  try {
    return await startEnvironment(await findExamples(), directory, { aws })
  } catch (error) {
    return { name: 'start', ok: false, detail: error instanceof Error ? error.message : String(error) }
  }
}

/** In the repository this file is cli/commands/dev.ts; in the package it is part of dist/cli.js. */
async function findExamples(): Promise<string> {
  const { existsSync } = await import('node:fs')
  const candidates = ['../../examples/local', '../examples/local'].map((up) =>
    path.resolve(import.meta.dirname, up),
  )
  const found = candidates.find((candidate) => existsSync(path.join(candidate, 'gateway.yaml')))
  if (found === undefined) throw new Error('examples/local is missing from this installation')
  return found
}

function formatStep(step: Step): string {
  const mark = step.ok ? styleText('green', '✓') : styleText('red', '✗')
  return `${mark} ${styleText('bold', step.name)}\n  ${step.detail}`
}

function howToTry({ workspace, gateway }: Environment): string {
  const file = (name: string) => path.relative(process.cwd(), workspace.file(name)) || '.'
  return `
Everything is up. Try it as the payments workload:

  curl --proxytunnel --proxy https://localhost:${gateway.port} \\
    --proxy-cacert ${file('pki/bundle.pem')} \\
    --proxy-cert ${file('workloads/payments-api.pem')} --proxy-key ${file('workloads/payments-api.key')} \\
    http://partner.localhost:${workspace.ports.partner}/

The gateway speaks TLS to the partner, with the partner's client certificate; curl speaks plain HTTP inside its tunnel.
Records: ${file('audit.jsonl')}   Metrics: http://127.0.0.1:${workspace.ports.admin}/metrics   Stop: Ctrl-C`
}

const EARLIEST_RENEWAL_MS = 1_000

/** Until a signal comes; meanwhile the workload's SVID is renewed at half life, so that the command above keeps working. */
async function stayUp(environment: Environment): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  while (!stop.signal.aborted) {
    const { renewAfter } = await environment.workload('payments/api')
    await wait(Math.max(EARLIEST_RENEWAL_MS, Date.parse(renewAfter) - Date.now()), stop.signal)
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
