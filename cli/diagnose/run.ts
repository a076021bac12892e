// `sallyport diagnose` from its options to its exit code: reads the configuration as the gateway does, walks, shows.
import { type Fault, formatFault } from '../../common/fault.ts'
import { loadGatewayConfig } from '../../gateway/config/load.ts'
import { compilePolicy } from '../../gateway/policy/compile.ts'
import { createDial } from '../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../gateway/upstream/open.ts'
import { ownNetwork } from '../../gateway/upstream/address-class.ts'
import { createOwnListeners } from '../../gateway/upstream/own-listeners.ts'
import type { Surroundings } from '../../gateway/upstream/permit.ts'
import { createResolve } from '../../gateway/upstream/resolve.ts'
import type { GatewayConfig } from '../../gateway/config/types.ts'
import { type DiagnoseOptions, readAsked, UsageError } from './asked.ts'
import { toText } from './show.ts'
import { walk } from './walk.ts'

export interface RunOptions extends DiagnoseOptions {
  readonly config: string
  readonly json?: true | undefined
}

export interface Output {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/** 0 where it was reached, 1 for a "no", 2 for wrong use. */
export async function runDiagnose(options: RunOptions, output: Output = process): Promise<0 | 1 | 2> {
  const loaded = await loadGatewayConfig(options.config)
  if (!loaded.ok) return printFaults(loaded.faults, options, output)
  const { config } = loaded
  const compiled = compilePolicy(config.policyFiles, loaded.policy)
  if (!compiled.ok) return printFaults(compiled.faults, options, output)
  const { servers, ...limits } = config.dns
  try {
    const diagnosis = await walk({
      config,
      policy: compiled.policy,
      revocations: loaded.revocations?.first?.list ?? null,
      policies: compiled.policies,
      asked: readAsked(options, config),
      openUpstream: createOpenUpstream({
        resolve: createResolve({ servers, limits }),
        dial: createDial(),
        surroundings: surroundingsOf(config),
      }),
      now: () => new Date(),
    })
    output.stdout.write(options.json ? `${JSON.stringify(diagnosis)}\n` : toText(diagnosis))
    return diagnosis.ok ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    output.stderr.write(`sallyport: ${error.message}\n`)
    return 2
  }
}

/** What a gateway with this configuration knows of itself, which need not run now; a port 0 is known to it alone. */
function surroundingsOf({ vpcCidrs, listeners, health, admin }: GatewayConfig): Surroundings {
  const own = createOwnListeners()
  for (const { host, port } of [...listeners.map(({ address }) => address), health, admin]) {
    if (port !== 0) own.add({ host, port })
  }
  return { network: ownNetwork(vpcCidrs), isOwnListener: own.has }
}

function printFaults(faults: readonly Fault[], { json }: RunOptions, output: Output): 1 {
  if (json) output.stdout.write(`${JSON.stringify({ ok: false, faults })}\n`)
  else output.stderr.write(faults.map((fault) => `${formatFault(fault)}\n`).join(''))
  return 1
}
