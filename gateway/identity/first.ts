// The wait for the first identity from the authority, before any port but that of the health checks is open: nobody can be
// let in without it.
import { setTimeout } from 'node:timers/promises'
import type { Logger } from 'pino'
import { formatFault } from '../../common/fault.ts'
import type { ReadTrust } from '../config/read.ts'
import type { TrustMaterial } from '../config/types.ts'
import type { IdentityKeeper } from './keeper.ts'

const RETRY_MS = 2_000

export interface FirstOptions {
  readonly keeper: Pick<IdentityKeeper, 'untilIssued'>
  readonly readTrust: ReadTrust
  readonly log: Pick<Logger, 'error'>
  /** Ends the wait. */
  readonly stop?: AbortSignal
}

/** Rejects with the reason of `stop` where that comes first, and with nothing else. */
export async function awaitMaterial({ keeper, readTrust, log, stop }: FirstOptions): Promise<TrustMaterial> {
  await keeper.untilIssued(stop)
  for (;;) {
    const { material, faults } = await readTrust()
    if (material !== null) return material
    // Files of other trust domains, which were there when the configuration was read.
    log.error({ faults: faults.map(formatFault) }, 'certificates and roots cannot be read')
    await setTimeout(RETRY_MS, undefined, stop === undefined ? {} : { signal: stop })
  }
}
