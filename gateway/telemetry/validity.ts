// How old certificates and roots are and how long they last, for the metrics. Names come from the configuration.
import type { X509Certificate } from 'node:crypto'
import type { Bundle } from '../../spiffe/bundle.ts'
import type { Destination, TrustMaterial } from '../config/types.ts'
import type { Validity } from './metrics.ts'

const MS = 1000

/** `identity`, `listener/<name>` where one has its own, `<destination>/<entry>` of clientCertificates. */
export function certificateAges(
  { identity, identities }: TrustMaterial,
  destinations: readonly Destination[],
  now: Date,
): readonly Validity[] {
  return namedCertificates(identity.leaf, identities, destinations).map(([name, certificate]) => ({
    name,
    ageSeconds: (now.getTime() - certificate.validFromDate.getTime()) / MS,
    remainingSeconds: (certificate.validToDate.getTime() - now.getTime()) / MS,
  }))
}

type Named = readonly [name: string, certificate: X509Certificate]

function namedCertificates(
  own: X509Certificate,
  identities: TrustMaterial['identities'],
  destinations: readonly Destination[],
): readonly Named[] {
  const listeners = [...identities].filter(([, { leaf }]) => leaf.fingerprint256 !== own.fingerprint256)
  return [
    ['identity', own],
    ...listeners.map(([name, { leaf }]): Named => [`listener/${name}`, leaf]),
    ...destinations.flatMap(({ name, clientCertificates }) =>
      clientCertificates.map(({ keyPair }, index): Named => [`${name}/${index}`, keyPair.leaf]),
    ),
  ]
}

/** By trust domain; `since` is when the roots were taken as they are. */
export function bundleAges(
  bundles: ReadonlyMap<string, Bundle>,
  since: Date,
  now: Date,
): readonly Validity[] {
  return [...bundles].flatMap(([name, { x509Authorities }]) => {
    if (x509Authorities.length === 0) return []
    const first = Math.min(...x509Authorities.map(({ validToDate }) => validToDate.getTime()))
    return [
      {
        name,
        ageSeconds: (now.getTime() - since.getTime()) / MS,
        remainingSeconds: (first - now.getTime()) / MS,
      },
    ]
  })
}
