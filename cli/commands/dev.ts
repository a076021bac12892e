// `sallyport dev`: the whole of Sallyport on this machine, and the story of what it is for, played once.
import path from 'node:path'
import { styleText } from 'node:util'
import type { Command } from '@commander-js/extra-typings'
import { type Environment, startEnvironment } from '../dev/environment.ts'
import { readEvents, playStory, type Step } from '../dev/story.ts'

interface DevOptions {
  readonly once?: true | undefined
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
    .option('--json', 'print {"steps":[{"name","ok","detail"}],"auditRecords":N} instead of text')
    .option(
      '--directory <path>',
      'where keys, configuration and records of the local run are kept',
      '.sallyport',
    )
    .action(async (options) => {
      process.exitCode = await runDev(options)
    })
}

async function runDev(options: DevOptions): Promise<number> {
  const directory = path.resolve(options.directory)
  const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`)
  say(`Sallyport on this machine, in ${directory}\n`)
  await using environment = await startEnvironment(await findExamples(), directory)
  const steps = await playStory(environment, (step) => say(formatStep(step)))
  const auditRecords = (await readEvents(environment)).filter(({ event }) => event === 'session').length
  const failed = steps.some(({ ok }) => !ok)
  if (options.json) process.stdout.write(`${JSON.stringify({ steps, auditRecords })}\n`)
  if (options.once || failed) return failed ? 1 : 0
  say(howToTry(environment))
  await stayUp(environment)
  return 0
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
