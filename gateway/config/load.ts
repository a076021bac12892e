// The configuration as the gateway starts with it: right as a whole, or not at all.
import type { Fault } from '../../common/fault.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import type { PartnerReading } from './partners.ts'
import type { PolicySource } from './policy-source.ts'
import { type ReadOptions, type ReadRevocations, type ReadTrust, readGatewayConfig } from './read.ts'
import type { ReadSecret } from './secrets.ts'
import type { GatewayConfig } from './types.ts'

export interface LoadedGatewayConfig {
  readonly ok: true
  readonly config: GatewayConfig
  /** What the policy in it may name. */
  readonly policy: PolicySource
  readonly warnings: readonly Fault[]
  /** Variables of the environment that won over the file (design §5.5). */
  readonly overridden: readonly string[]
  /** Where certificates, keys and roots for identity and trust are read from. */
  readonly trustFiles: readonly string[]
  readonly readTrust: ReadTrust
  /** Null where the configuration has no list. */
  readonly revocations: ReadRevocations | null
  /** Certificates, keys and roots of destinations. */
  readonly partners: PartnerReading
  /** The 1-based line of a key in gateway.yaml, for faults that are found later; null where it is not there. */
  readonly lineOf: (path: KeyPath) => number | null
}

export type GatewayConfigResult =
  | LoadedGatewayConfig
  | { readonly ok: false; readonly faults: readonly Fault[] }

/**
 * Reads gateway.yaml (design §5.1) and all that it refers to; paths in it are relative to its directory. Every fault
 * names the file, the line, the key and the remedy. Does not compile the policy, whose text is in `policyFiles`.
 */
export async function loadGatewayConfig(
  file: string,
  options: ReadOptions & { readonly readSecret?: ReadSecret } = {},
): Promise<GatewayConfigResult> {
  const { config, policy, faults, ...rest } = await readGatewayConfig(file, options)
  return config === null || policy === null ? { ok: false, faults } : { ok: true, config, policy, ...rest }
}
