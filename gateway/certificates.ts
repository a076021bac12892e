// The certificates that the gateway shows, to workloads and to partners: their validity in metrics and log, and those of
// partners as files and secrets have them.
import type { Logger } from 'pino'
import type { PartnerReading } from './config/partners.ts'
import type { ReadSecret } from './config/secrets.ts'
import type { KeyPair } from './config/types.ts'
import type { DestinationStore } from './destinations/store.ts'
import { watchExpiry } from './expiry-watch.ts'
import { watchPartners } from './partner-watch.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { TrustStore } from './trust-store.ts'

/** How the parts of destinations are read again. */
export interface PartnerSource extends PartnerReading {
  readonly readSecret: ReadSecret
  readonly filesIntervalMs?: number
}

export interface CertificatesOptions {
  readonly trust: TrustStore
  readonly destinations: DestinationStore
  readonly metrics: Pick<Metrics, 'certificate' | 'partnerReload'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now: () => Date
  /** Left out: partners' certificates stay what they are. */
  readonly partners?: PartnerSource | undefined
}

/** Watches until it is disposed of. */
export function watchCertificates(options: CertificatesOptions): AsyncDisposable {
  const { trust, destinations, metrics, log, now, partners } = options
  const stack = new AsyncDisposableStack()
  const shown = () => shownBy(options)
  const observe = () => {
    for (const [name, { leaf }] of shown()) metrics.certificate(name, leaf)
  }
  observe()
  trust.onChange(observe)
  destinations.onChange(observe)
  stack.use(watchExpiry({ certificates: shown, log, now }))
  if (partners !== undefined) {
    stack.use(watchPartners({ ...partners, partners, destinations, metrics, log }))
  }
  return stack
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
