// All that can be known to be wrong with a gateway's configuration without starting it, policy included.
import type { Fault } from '../../common/fault.ts'
import { compilePolicy } from '../policy/compile.ts'
import { type ReadOptions, readGatewayConfig } from './read.ts'

export interface CheckedConfig {
  readonly faults: readonly Fault[]
  readonly warnings: readonly Fault[]
}

/**
 * Policy is compiled also where other files are at fault: one run shows everything. Secrets are not read: who checks a
 * configuration need not be who may have a partner's key.
 */
export async function checkGatewayConfig(
  file: string,
  options: Omit<ReadOptions, 'readSecret'> = {},
): Promise<CheckedConfig> {
  const { policy, revocations, ...read } = await readGatewayConfig(file, { ...options, readSecret: null })
  const faults = [...read.faults, ...(revocations?.first.faults ?? [])]
  const warnings = [...read.warnings, ...(revocations?.first.warnings ?? [])]
  if (policy === null) return { faults, warnings }
  const compiled = compilePolicy(policy.files, policy)
  return compiled.ok
    ? { faults, warnings: [...warnings, ...compiled.warnings] }
    : { faults: [...faults, ...compiled.faults], warnings }
}
