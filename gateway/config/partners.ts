// The certificates, keys and roots of destinations, which change while the gateway runs, as parts that are read again each
// by itself: what is at fault with one partner keeps no other from its new certificate.
import type { Fault } from '../../common/fault.ts'
import type { FileContext } from './context.ts'
import { readClientKeyPair, readDestinationRoots } from './destination.ts'
import type { GatewayDocument } from './schema.ts'
import { type Reference, SecretReference } from './secret-reference.ts'
import type { ReadSecret } from './secrets.ts'
import type { KeyPair } from './types.ts'

export interface PartnerPart {
  readonly destination: string
  /** `roots`, or the place in `clientCertificates`. */
  readonly of: 'roots' | number
  /** Paths from where this process looks. */
  readonly files: readonly string[]
  readonly secrets: readonly SecretReference[]
}

export type PartnerMaterial =
  | { readonly kind: 'roots'; readonly roots: readonly string[] }
  | { readonly kind: 'keyPair'; readonly keyPair: KeyPair }

export interface PartRead {
  /** Null where there is any fault. */
  readonly material: PartnerMaterial | null
  readonly faults: readonly Fault[]
}

export interface PartnerReading {
  readonly parts: readonly PartnerPart[]
  /** How long from one look at the secrets to the next, in milliseconds. */
  readonly secretsIntervalMs: number
  /** Reads those parts again; a file or secret that several name is read once. Never rejects for what is in them. */
  readonly read: (
    parts: readonly PartnerPart[],
    readSecret: ReadSecret,
  ) => Promise<ReadonlyMap<PartnerPart, PartRead>>
}

type Destinations = GatewayDocument['destinations']
type Path = readonly (string | number)[]

interface Located extends PartnerPart {
  readonly read: (context: FileContext) => Promise<PartnerMaterial | null>
}

/** Begins a reading of its own: fresh files, and the faults that are found in it. */
export type BeginReading = (readSecret: ReadSecret) => {
  readonly context: FileContext
  /** Those found since it was last called. */
  readonly takeFaults: () => readonly Fault[]
}

export function describePartners(
  destinations: Destinations,
  secretsIntervalMs: number,
  nameOf: (reference: string) => string,
  begin: BeginReading,
): PartnerReading {
  const parts = destinations.flatMap((entry, index) => partsOf(entry, ['destinations', index], nameOf))
  return {
    parts,
    secretsIntervalMs,
    async read(wanted, readSecret) {
      const { context, takeFaults } = begin(readSecret)
      const results = new Map<PartnerPart, PartRead>()
      const asked = new Set(wanted)
      for (const part of parts) {
        if (!asked.has(part)) continue
        const material = await part.read(context)
        const faults = takeFaults()
        results.set(part, { material: faults.length > 0 ? null : material, faults })
      }
      return results
    },
  }
}

function partsOf(
  { name, roots, clientCertificates = [] }: Destinations[number],
  at: Path,
  nameOf: (reference: string) => string,
): readonly Located[] {
  const located = (
    of: PartnerPart['of'],
    references: readonly Reference[],
    read: Located['read'],
  ): Located => ({
    destination: name,
    of,
    files: references.filter((one) => typeof one === 'string').map(nameOf),
    secrets: references.filter((one) => one instanceof SecretReference),
    read,
  })
  const pairs = clientCertificates.map((pair, index) =>
    located(index, [pair.certificate, pair.key], async (context) => {
      const keyPair = await readClientKeyPair(pair, [...at, 'clientCertificates', index], context)
      return keyPair === null ? null : { kind: 'keyPair', keyPair }
    }),
  )
  if (roots === undefined || roots === 'system') return pairs
  const own = located('roots', [roots.from], async (context) => {
    const read = await readDestinationRoots(roots, [...at, 'roots'], context)
    return read === null || read === 'system' ? null : { kind: 'roots', roots: read }
  })
  return [own, ...pairs]
}

/** Every secret that a document names, in its order, with the key that names it. */
export function secretsOf(
  destinations: Destinations,
): readonly { readonly secret: SecretReference; readonly key: Path }[] {
  return destinations.flatMap(({ roots, clientCertificates = [] }, index) => {
    const at = ['destinations', index]
    const named: readonly (readonly [Reference | null, Path])[] = [
      [roots === undefined || roots === 'system' ? null : roots.from, [...at, 'roots']],
      ...clientCertificates.flatMap(
        ({ certificate, key }, entry): readonly (readonly [Reference, Path])[] => [
          [certificate, [...at, 'clientCertificates', entry, 'certificate']],
          [key, [...at, 'clientCertificates', entry, 'key']],
        ],
      ),
    ]
    return named.flatMap(([secret, key]) => (secret instanceof SecretReference ? [{ secret, key }] : []))
  })
}
