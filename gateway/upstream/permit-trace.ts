// Says of each address that a name led to what it is and whether it was permitted: for people who look into a failure.
// It decides nothing; permit.ts has decided.
import { canonicalAddress, classify, NO_NETWORK, type OwnNetwork } from './address-class.ts'
import type { AddressClass } from './special-ranges.ts'
import type { UpstreamTrace } from './types.ts'

export interface AddressVerdict {
  readonly address: string
  readonly class: AddressClass
  readonly permitted: boolean
}

/** Made when it is asked for, since no connection needs it. */
export function verdicts(
  { found, permitted }: UpstreamTrace,
  network: OwnNetwork = NO_NETWORK,
): readonly AddressVerdict[] {
  return found.map((address) => ({
    address,
    class: classify(address, network),
    permitted: permitted.includes(canonicalAddress(address) ?? address),
  }))
}
