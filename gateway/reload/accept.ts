// A configuration that may be put in force: gateway.yaml, all that it names and the policy, found right as a whole. What
// has any fault is not accepted, so that a bad configuration never replaces a good one.
import type { Fault } from '../../common/fault.ts'
import { type LoadedGatewayConfig, loadGatewayConfig, type LoadOptions } from '../config/load.ts'
import { compilePolicyInSlices } from '../policy/compile.ts'
import type { Policy } from '../policy/types.ts'

export interface AcceptedConfig {
  readonly loaded: LoadedGatewayConfig
  readonly policy: Policy
  readonly warnings: readonly Fault[]
}

export type AcceptResult =
  | { readonly ok: true; readonly accepted: AcceptedConfig }
  | {
      readonly ok: false
      readonly faults: readonly Fault[]
      /** What was looked at: a change of one of them is a reason to look again. */
      readonly files: readonly string[]
    }

/** Never rejects for what stands in the files. */
export async function acceptConfig(file: string, options: LoadOptions = {}): Promise<AcceptResult> {
  const loaded = await loadGatewayConfig(file, options)
  if (!loaded.ok) return loaded
  const compiled = await compilePolicyInSlices(loaded.config.policyFiles, loaded.policy)
  if (!compiled.ok) return { ok: false, faults: compiled.faults, files: loaded.files }
  const warnings = [...loaded.warnings, ...compiled.warnings]
  return { ok: true, accepted: { loaded, policy: compiled.policy, warnings } }
}
