// How old certificates and roots are and how long they last, for the metrics. Names come from the configuration.
import type { X509Certificate } from 'node:crypto'
import type { Bundle } from '../../spiffe/bundle.ts'
import type { TrustStore } from '../trust-store.ts'
import type { Metrics } from './metrics.ts'
import type { CertificateValidity, Validity } from './sampled.ts'

const MS = 1000

/** In the order of `certificates`, by their names. */
export function certificateAges(
  certificates: Iterable<readonly [name: string, certificate: X509Certificate]>,
  now: Date,
): readonly CertificateValidity[] {
  return [...certificates].map(([name, certificate]) => ({
    name,
    ageSeconds: (now.getTime() - certificate.validFromDate.getTime()) / MS,
    remainingSeconds: (certificate.validToDate.getTime() - now.getTime()) / MS,
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
  }))
}

interface Taken {
  readonly roots: string
  readonly since: Date
}

/** Of the roots in force at each scrape. Roots that come again as they were, with another SVID, grow on. */
export function sampleBundles(
  metrics: Pick<Metrics, 'sampleBundles'>,
  trust: Pick<TrustStore, 'current' | 'onChange'>,
  now: () => Date,
): void {
  let taken: ReadonlyMap<string, Taken> = new Map()
  const take = () => {
    const before = taken
    taken = new Map(
      [...trust.current().bundles].map(([name, { x509Authorities }]) => {
        const roots = x509Authorities.map(({ fingerprint256 }) => fingerprint256).join()
        const known = before.get(name)
        return [name, known?.roots === roots ? known : { roots, since: now() }]
      }),
    )
  }
  take()
  trust.onChange(take)
  metrics.sampleBundles(() =>
    bundleAges(trust.current().bundles, (name) => taken.get(name)?.since ?? now(), now()),
  )
}

/** By trust domain; `since` is when its roots were taken as they are. */
function bundleAges(
  bundles: ReadonlyMap<string, Bundle>,
  since: (name: string) => Date,
  now: Date,
): readonly Validity[] {
  return [...bundles].flatMap(([name, { x509Authorities }]) => {
    if (x509Authorities.length === 0) return []
    const first = Math.min(...x509Authorities.map(({ validToDate }) => validToDate.getTime()))
    return [
      {
        name,
        ageSeconds: (now.getTime() - since(name).getTime()) / MS,
        remainingSeconds: (first - now.getTime()) / MS,
      },
    ]
  })
}
