// The certificates that the gateway shows, to workloads and to partners: their validity in metrics and log, and those of
// partners as files and secrets have them.
import type { Logger } from 'pino'
import type { KeyPair } from './config/types.ts'
import type { DestinationStore } from './destinations/store.ts'
import { watchExpiry } from './expiry-watch.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { certificateAges } from './telemetry/validity.ts'
import type { TrustStore } from './trust-store.ts'

export interface CertificatesOptions {
  readonly trust: TrustStore
  readonly destinations: DestinationStore
  readonly metrics: Pick<Metrics, 'sampleCertificates'>
  readonly log: Pick<Logger, 'warn' | 'error'>
  readonly now: () => Date
}

/** Watches until it is disposed of. */
export function watchCertificates(options: CertificatesOptions): Disposable {
  const { metrics, log, now } = options
  const shown = () => shownBy(options)
  metrics.sampleCertificates(() =>
    certificateAges(
      [...shown()].map(([name, { leaf }]) => [name, leaf]),
      now(),
    ),
  )
  return watchExpiry({ certificates: shown, log, now })
}

/** By the names that metrics and log give them. */
function shownBy({
  trust,
  destinations,
}: Pick<CertificatesOptions, 'trust' | 'destinations'>): ReadonlyMap<string, KeyPair> {
  const { identity, identities } = trust.current()
  const shown = new Map([['identity', identity]])
  for (const [name, keyPair] of identities) {
    if (keyPair.leaf !== identity.leaf) shown.set(`listener/${name}`, keyPair)
  }
  for (const { name, clientCertificates } of destinations.current()) {
    for (const [index, { keyPair }] of clientCertificates.entries()) shown.set(`${name}/${index}`, keyPair)
  }
  return shown
}
