// The gateway as a process: load, start, drain on a signal, and the exit code. Everything that can be wrong with the
// configuration is printed as one line a fault before anything listens.
import pino, { type Logger } from 'pino'
import { type Fault, formatFault } from '../common/fault.ts'
import { createStdoutSink } from './audit/sink.ts'
import { parseAppConfig } from './config/appconfig.ts'
import type { LoadOptions } from './config/load.ts'
import { createReadSecret } from './config/secrets-manager.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { IdentityKeeper } from './identity/keeper.ts'
import { listenFault } from './reload/listen-fault.ts'
import type { AcceptedConfig } from './reload/accept.ts'
import { AppConfigSource } from './reload/appconfig-source.ts'
import { type ConfigSource, createFileSource } from './reload/source.ts'
import { judgeNode } from './node-version.ts'

export interface RunOptions {
  readonly configFile: string
  /** Ends the gateway as SIGTERM does. */
  readonly signal?: AbortSignal
}

/** Runs until SIGTERM or SIGINT and resolves with the exit code: 0 after a drain, 1 where it could not start. */
export async function runGateway(options: RunOptions): Promise<number> {
  const log = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
  const old = judgeNode(process.versions.node, process.env)
  if (old?.refused === true) {
    process.stderr.write(`${old.message}\n`)
    return 1
  }
  const readSecret = createReadSecret()
  const keeper = new IdentityKeeper({ log })
  const source = openSource(options.configFile, { readSecret, issued: () => keeper.current() })
  if (source === null) return printFaults([wrongName(options.configFile)])
  const { result, ageMs, problem } = await source.begin()
  if (!result.ok) return printFaults(result.faults)
  const { loaded, policy, warnings } = result.accepted
  if (problem !== null) log.error(problem)
  for (const warning of warnings) log.warn(formatFault(warning))
  for (const variable of loaded.overridden)
    log.info({ variable }, 'the environment wins over the configuration')
  const stdout = createStdoutSink(process.stdout)
  let gateway: Gateway | null = null
  // From the start, since nobody can know when it is safe to send: a process that does not listen dies of it.
  const hangUp = () => {
    if (gateway !== null) void takeHangUp(gateway, log)
  }
  process.on('SIGHUP', hangUp)
  // Listened for before anything is waited for: a signal that comes first would end the process without a drain.
  const stopping = new AbortController()
  let impatient = 0
  const hurry = () => {
    if (gateway === null) impatient += 1
    else gateway.hurry()
  }
  const stopped = untilStopped(hurry, options.signal, stopping)
  try {
    const { config, revocations } = loaded
    const sources = { ...loaded, readSecret }
    const from = { source, sources, sourceAgeMs: ageMs, keeper, stop: stopping.signal }
    gateway = await startGateway({ config, policy, log, stdout, revocations, ...from })
  } catch (error) {
    if (stopping.signal.aborted && error === stopping.signal.reason) return 0
    const fault = listenFault(options.configFile, loaded, error)
    if (fault === null) throw error
    return printFaults([fault])
  }
  if (old !== null) log.warn(old.message)
  const started = gateway
  for (; impatient > 0; impatient--) started.hurry()
  await keep(source, result.accepted, log)
  await stopped
  log.info('draining')
  await started.drain()
  await stdout.close(0)
  process.off('SIGHUP', hangUp)
  log.info('stopped')
  return 0
}

type ReadingOptions = Pick<LoadOptions, 'readSecret' | 'issued'>

/** Null where it begins like a profile of AppConfig and is none. */
function openSource(name: string, options: ReadingOptions): ConfigSource | null {
  if (!name.startsWith('appconfig:')) return createFileSource(name, options)
  const profile = parseAppConfig(name)
  return profile === null ? null : new AppConfigSource(profile, options)
}

function wrongName(file: string): Fault {
  const message = 'not a profile of AppConfig'
  return { file, line: null, key: null, message, remedy: 'appconfig:<application>/<environment>/<profile>' }
}

/** That it cannot be kept for the next start is no reason not to run now. */
async function keep(source: ConfigSource, accepted: AcceptedConfig, log: Logger): Promise<void> {
  try {
    const said = await source.keep?.(accepted)
    if (typeof said === 'string') log.warn(said)
  } catch (error) {
    log.error({ err: error }, 'the configuration in force could not be kept for the next start')
  }
}

/** Each whatever becomes of the other: a configuration with a fault keeps no log from being rotated. */
async function takeHangUp(gateway: Gateway, log: Logger): Promise<void> {
  await Promise.all([reopenAudit(gateway, log), gateway.reload()])
}

/** A log that was renamed is gone on with in a new file. Where that cannot be, the old one stays, and that is said. */
async function reopenAudit(gateway: Gateway, log: Logger): Promise<void> {
  try {
    await gateway.reopenAudit()
  } catch (error) {
    log.error({ err: error }, 'the audit file could not be opened anew; the old one is kept')
  }
}

function printFaults(faults: readonly Fault[]): 1 {
  process.stderr.write(faults.map((fault) => `${formatFault(fault)}\n`).join(''))
  return 1
}

/** Resolves at the first stop signal, and aborts `stopping`; each further one makes the drain shorter. */
async function untilStopped(
  hurry: () => void,
  stop: AbortSignal | undefined,
  stopping: AbortController,
): Promise<void> {
  await new Promise<void>((resolve) => {
    let known = false
    const onSignal = (name: NodeJS.Signals) => {
      // Nobody at a terminal wants to wait for a balancer to notice.
      if (known || name === 'SIGINT') hurry()
      known = true
      stopping.abort()
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
    stop?.addEventListener('abort', () => onSignal('SIGTERM'))
  })
}
