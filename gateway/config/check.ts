// All that can be known to be wrong with a gateway's configuration without starting it, policy included.
import type { Fault } from '../../common/fault.ts'
import { compilePolicy } from '../policy/compile.ts'
import { type ReadOptions, readGatewayConfig } from './read.ts'

export interface CheckedConfig {
  readonly faults: readonly Fault[]
  readonly warnings: readonly Fault[]
}

/** Policy is compiled also where other files are at fault: one run shows everything. */
export async function checkGatewayConfig(file: string, options: ReadOptions = {}): Promise<CheckedConfig> {
  const { faults, warnings, policy } = await readGatewayConfig(file, options)
  if (policy === null) return { faults, warnings }
  const compiled = compilePolicy(policy.files, policy)
  return compiled.ok
    ? { faults, warnings: [...warnings, ...compiled.warnings] }
    : { faults: [...faults, ...compiled.faults], warnings }
}
