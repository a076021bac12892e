// The configuration as the gateway starts with it: right as a whole, or not at all.
import type { Fault } from '../../common/fault.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import type { AuthoritySource } from './authority.ts'
import type { PartnerReading } from './partners.ts'
import type { PolicySource } from './policy-source.ts'
import { type ReadOptions, type ReadRevocations, type ReadTrust, readGatewayConfig } from './read.ts'
import { readFromAfar } from './revocations.ts'
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
  /** Who issues the gateway's own identity; null = it comes from files. */
  readonly authority: AuthoritySource | null
  /** What was looked at: gateway.yaml and all that it names, the revocation list apart. */
  readonly files: readonly string[]
  /** Null where the configuration has no list. */
  readonly revocations: ReadRevocations | null
  /** Certificates, keys and roots of destinations. */
  readonly partners: PartnerReading
  /** The 1-based line of a key in gateway.yaml, for faults that are found later; null where it is not there. */
  readonly lineOf: (path: KeyPath) => number | null
}

export type GatewayConfigResult =
  | LoadedGatewayConfig
  | { readonly ok: false; readonly faults: readonly Fault[]; readonly files: readonly string[] }

export interface LoadOptions extends ReadOptions {
  readonly readSecret?: ReadSecret
  /**
   * The revocation list that the gateway goes by already: what has become of its file is no matter of the configuration,
   * and must not keep it from changing.
   */
  readonly keptRevocations?: string | null
  /**
   * Reads another list now, also one that comes from afar, and finds its faults: else sessions would be judged without it
   * until it was read. Default: one from afar is asked for while the gateway runs, which lets nobody in till then.
   */
  readonly awaitRevocations?: boolean
}

/**
 * Reads gateway.yaml (design §5.1) and all that it refers to; paths in it are relative to its directory. Every fault
 * names the file, the line, the key and the remedy. Does not compile the policy, whose text is in `policyFiles`.
 */
export async function loadGatewayConfig(
  file: string,
  { keptRevocations = null, awaitRevocations = false, ...options }: LoadOptions = {},
): Promise<GatewayConfigResult> {
  const { config, policy, faults, warnings, ...rest } = await readGatewayConfig(file, options)
  const refused = (more: readonly Fault[]) => ({
    ok: false as const,
    faults: [...faults, ...more],
    files: rest.files,
  })
  const kept = rest.revocations?.file === keptRevocations
  const first = rest.revocations?.first ?? null
  if (config === null || policy === null) return refused(kept ? [] : (first?.faults ?? []))
  // Not before: what has a fault anyway need not wait for a service.
  const revocations =
    rest.revocations !== null && awaitRevocations && !kept && first === null
      ? await readFromAfar(rest.revocations)
      : rest.revocations
  const own = kept ? null : (revocations?.first ?? null)
  if (own?.list === null) return refused(own.faults)
  return {
    ...{ ok: true, config, policy, ...rest, revocations },
    warnings: [...warnings, ...(own?.warnings ?? [])],
  }
}
