// The gateway as a process: load, start, drain on a signal, and the exit code. Everything that can be wrong with the
// configuration is printed as one line a fault before anything listens.
import pino from 'pino'
import { type Fault, formatFault } from '../common/fault.ts'
import { createStdoutSink } from './audit/sink.ts'
import { createReadSecret } from './config/secrets-manager.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { listenFault } from './reload/listen-fault.ts'
import { createFileSource } from './reload/source.ts'

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
  const readSecret = createReadSecret()
  const source = createFileSource(options.configFile, { readSecret })
  const { result } = await source.look({ force: true, keptRevocations: null })
  if (result === null) throw new TypeError('the first look gave nothing')
  if (!result.ok) return printFaults(result.faults)
  const { loaded, policy, warnings } = result.accepted
  for (const warning of warnings) log.warn(formatFault(warning))
  for (const variable of loaded.overridden)
    log.info({ variable }, 'the environment wins over the configuration')
  const stdout = createStdoutSink(process.stdout)
  let gateway: Gateway | null = null
  // From the start, since nobody can know when it is safe to send: a process that does not listen dies of it.
  const reload = () => void gateway?.reload()
  process.on('SIGHUP', reload)
  try {
    const { config, revocations } = loaded
    const sources = { ...loaded, readSecret }
    gateway = await startGateway({ config, policy, log, stdout, revocations, sources, source })
  } catch (error) {
    const fault = listenFault(options.configFile, loaded, error)
    if (fault === null) throw error
    return printFaults([fault])
  }
  const { hurry } = gateway
  await untilStopped(hurry, options.signal)
  log.info('draining')
  await gateway.drain()
  process.off('SIGHUP', reload)
  await stdout.close(0)
  log.info('stopped')
  return 0
}

function printFaults(faults: readonly Fault[]): 1 {
  process.stderr.write(faults.map((fault) => `${formatFault(fault)}\n`).join(''))
  return 1
}

/** Resolves at the first stop signal; each further one makes the drain shorter. */
async function untilStopped(hurry: () => void, stop?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    let stopping = false
    const onSignal = (name: NodeJS.Signals) => {
      // Nobody at a terminal wants to wait for a balancer to notice.
      if (stopping || name === 'SIGINT') hurry()
      stopping = true
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
    stop?.addEventListener('abort', () => onSignal('SIGTERM'))
  })
}
