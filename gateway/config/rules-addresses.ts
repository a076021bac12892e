// What the schema cannot say of addresses: an exception that opens nothing is a fault, and a literal address that nobody can
// reach is told as a warning, since it may stand there to show that it is refused.
import { NO_NETWORK, type OwnNetwork, parseRange, inRange } from '../upstream/address-class.ts'
import { permit } from '../upstream/permit.ts'
import { type AddressClass, SPECIAL_RANGES } from '../upstream/special-ranges.ts'
import { UpstreamError } from '../upstream/types.ts'
import type { BuildContext } from './context.ts'
import type { RuleContext } from './rules.ts'
import type { GatewayDocument } from './schema.ts'

type Destination = GatewayDocument['destinations'][number]
type Path = readonly (string | number)[]

export function checkExceptions(
  { allowAddresses }: Destination,
  at: Path,
  { report }: Pick<RuleContext, 'report'>,
): void {
  for (const [index, text] of allowAddresses.entries()) {
    const path = [...at, 'allowAddresses', index]
    const range = parseRange(text)
    const single = range.bits === (range.network.kind() === 'ipv4' ? 32 : 128)
    if (liesIn(text, 'unspecified') || liesIn(text, 'multicast')) {
      report(path, `${text} is never dialled, so that no exception opens it`, 'remove it')
    } else if (!single && liesIn(text, 'metadata')) {
      report(
        path,
        `${text} belongs to services that hand out credentials, and a range opens none of them`,
        'list the one address that is meant, as /32 or /128',
      )
    }
  }
}

/** Whether all of the range is in one special range of this class. */
function liesIn(text: string, wanted: AddressClass): boolean {
  const { network, bits } = parseRange(text)
  return SPECIAL_RANGES.filter(({ found }) => found === wanted).some(({ range }) => {
    const special = parseRange(range)
    return special.bits <= bits && inRange(network, special)
  })
}

export function warnOfUnreachable(
  { name, hosts, allowAddresses }: Destination,
  at: Path,
  { warn }: Pick<BuildContext, 'warn'>,
  network: OwnNetwork = NO_NETWORK,
): void {
  for (const [index, host] of hosts.entries()) {
    if (host.kind !== 'address') continue
    try {
      permit([host.address], 0, { name, allowAddresses }, { network, isOwnListener: () => false })
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      // Who lists such an address wants to see it refused, and nobody is advised to open it.
      if (error.code === 'address-metadata') continue
      const remedy = `add ${host.address}/${host.address.includes(':') ? 128 : 32} to allowAddresses if it is meant`
      warn([...at, 'hosts', index], error.message, remedy)
    }
  }
}
