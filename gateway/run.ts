// The gateway as a process: load, start, drain on a signal, and the exit code. Everything that can be wrong with the
// configuration is printed as one line a fault before anything listens.
import pino from 'pino'
import { type Fault, formatFault } from '../common/fault.ts'
import { createStdoutSink } from './audit/sink.ts'
import { type LoadedGatewayConfig, loadGatewayConfig } from './config/load.ts'
import { createReadSecret } from './config/secrets-manager.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { judgeNode } from './node-version.ts'
import { compilePolicy } from './policy/compile.ts'
import { createTrustStore } from './trust-store.ts'
import { watchTrust } from './trust-watch.ts'

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
  if (old !== null) log.warn(old.message)
  const readSecret = createReadSecret()
  const loaded = await loadGatewayConfig(options.configFile, { readSecret })
  if (!loaded.ok) return printFaults(loaded.faults)
  const { config } = loaded
  const compiled = compilePolicy(config.policyFiles, loaded.policy)
  if (!compiled.ok) return printFaults(compiled.faults)
  for (const warning of [...loaded.warnings, ...compiled.warnings]) log.warn(formatFault(warning))
  for (const variable of loaded.overridden)
    log.info({ variable }, 'the environment wins over the configuration')
  const trust = createTrustStore(config.material)
  await using _watch = watchTrust({ ...loaded, files: loaded.trustFiles, trust, log })
  const stdout = createStdoutSink(process.stdout)
  let gateway: Gateway
  try {
    const partners = { ...loaded.partners, readSecret }
    gateway = await startGateway({ config, policy: compiled.policy, log, stdout, trust, partners })
  } catch (error) {
    const fault = listenFault(options.configFile, loaded, error)
    if (fault === null) throw error
    return printFaults([fault])
  }
  const hurry = await untilStopped(options.signal)
  log.info('draining')
  await gateway.drain(hurry)
  await stdout.close(0)
  log.info('stopped')
  return 0
}

function printFaults(faults: readonly Fault[]): 1 {
  process.stderr.write(faults.map((fault) => `${formatFault(fault)}\n`).join(''))
  return 1
}

/** A port that cannot be had, as a fault of the key that names it; null where the error is something else. */
function listenFault(file: string, loaded: LoadedGatewayConfig, error: unknown): Fault | null {
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  if (syscall !== 'listen') return null
  const { config, lineOf } = loaded
  const same = (at: { host: string; port: number }) =>
    at.port === port && (address === undefined || at.host === address)
  const index = config.listeners.findIndex((listener) => same(listener.address))
  const path =
    index >= 0 ? ['listeners', index, 'address'] : [same(config.health) ? 'health' : 'admin', 'address']
  const meaning: Record<string, string> = {
    EADDRINUSE: 'another process listens on this port',
    EACCES: 'this user may not listen on this port',
    EADDRNOTAVAIL: 'this machine has no such address',
  }
  return {
    file,
    line: lineOf(path),
    key: index >= 0 ? `listeners[${index}].address` : path.join('.'),
    message: `cannot listen on ${address}:${port}: ${meaning[code ?? ''] ?? code}`,
    remedy:
      code === 'EADDRINUSE'
        ? 'stop it or choose another port; port 0 picks a free one'
        : 'choose another address',
  }
}

/** Resolves at the first stop signal; the signal it gives fires at the second, which cuts the drain's delay short. */
async function untilStopped(stop?: AbortSignal): Promise<AbortSignal> {
  const hurry = new AbortController()
  await new Promise<void>((resolve) => {
    let stopping = false
    const onSignal = (name: NodeJS.Signals) => {
      // Nobody at a terminal wants to wait for a balancer to notice.
      if (stopping || name === 'SIGINT') hurry.abort()
      stopping = true
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
    stop?.addEventListener('abort', () => onSignal('SIGTERM'))
  })
  return hurry.signal
}
