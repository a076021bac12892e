// Metrics that nobody counts: each is asked for when it is shown. Names are a contract as in metrics.ts.
import type { AuditState } from '../audit/events.ts'
import type { AuthorityState } from '../identity/tally.ts'
import type { LoopDelay } from './loop-delay.ts'
import type { Registry } from './registry.ts'

export interface Validity {
  readonly name: string
  /** Seconds since it began to be valid, or since it was taken. */
  readonly ageSeconds: number
  /** Seconds; negative where it has expired. */
  readonly remainingSeconds: number
}

export interface CertificateValidity extends Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

export function sampleAuthority(registry: Registry, state: () => AuthorityState | null): void {
  registry.sampledSeries(
    'sallyport_authority_requests_total',
    'Requests to the authority for the own SVID and the trust bundle: ok, or the code of the failure.',
    'counter',
    () =>
      (state()?.requests ?? []).map(({ request, result, count }) => ({
        labels: { request, result },
        value: count,
      })),
  )
  const gauge = (name: string, help: string, of: (state: AuthorityState) => number | null) =>
    registry.sampledSeries(name, help, 'gauge', () => {
      const found = state()
      const value = found === null ? null : of(found)
      return value === null ? [] : [{ labels: {}, value }]
    })
  gauge(
    'sallyport_authority_age_seconds',
    'Since the authority last answered as it should; nothing where none is asked.',
    ({ ageSeconds }) => ageSeconds,
  )
  gauge(
    'sallyport_identity_renewal_failing_seconds',
    'For how long the renewal of the own SVID has been failing, else 0; nothing where no authority is asked.',
    ({ renewalFailingSeconds }) => renewalFailingSeconds,
  )
}

export function sampleCertificates(registry: Registry, read: () => readonly CertificateValidity[]): void {
  const moment = (suffix: string, help: string, of: (one: CertificateValidity) => Date) =>
    registry.sampledSeries(`sallyport_certificate_${suffix}_seconds`, help, 'gauge', () =>
      read().map((one) => ({ labels: { name: one.name }, value: of(one).getTime() / 1000 })),
    )
  moment('not_after', 'End of validity, in seconds since 1970.', ({ notAfter }) => notAfter)
  const begins =
    'Beginning of validity, in seconds since 1970; the age of the certificate is what has passed since.'
  moment('not_before', begins, ({ notBefore }) => notBefore)
  sampleValidity(registry, 'certificate', 'name', read)
}

/** Ages beside moments: an alarm in CloudWatch cannot subtract the time of day. */
export function sampleValidity(
  registry: Registry,
  what: 'certificate' | 'bundle',
  label: string,
  read: () => readonly Validity[],
): void {
  const age = {
    certificate: 'Since it began to be valid.',
    bundle: 'Since the roots were taken as they are.',
  }
  const left = {
    certificate: 'Until it expires; negative where it has.',
    bundle: 'Until the first of the roots expires; negative where it has.',
  }
  const gauge = (suffix: string, help: string, value: (one: Validity) => number) =>
    registry.sampledSeries(`sallyport_${what}_${suffix}_seconds`, help, 'gauge', () =>
      read().map((one) => ({ labels: { [label]: one.name }, value: value(one) })),
    )
  gauge('age', age[what], ({ ageSeconds }) => ageSeconds)
  gauge('remaining', left[what], ({ remainingSeconds }) => remainingSeconds)
}

export function sampleAudit(registry: Registry, audit: () => AuditState): void {
  const sample = (name: string, help: string, type: 'counter' | 'gauge', read: () => number) =>
    registry.sampled(`sallyport_audit_${name}`, help, type, read)
  sample('dropped_total', 'Lines that the sink lost.', 'counter', () => audit().dropped)
  sample('backlog_bytes', 'Bytes that wait for the sink.', 'gauge', () => audit().backlogBytes)
  const oldest = 'How long the oldest record waits, to be made or for the sink.'
  sample('oldest_wait_seconds', oldest, 'gauge', () => audit().oldestWaitMs / 1000)
  const waiting = 'Records of sessions that were ended together and are yet to be made.'
  sample('records_waiting', waiting, 'gauge', () => audit().recordsWaiting)
  sample('failing', '1 while the sink can write nothing.', 'gauge', () => (audit().failure === null ? 0 : 1))
}

export function sampleProcess(registry: Registry, delay: LoopDelay): void {
  registry.sampled('process_cpu_seconds_total', 'User and system CPU time.', 'counter', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry.sampled('process_resident_memory_bytes', 'Resident memory.', 'gauge', () =>
    process.memoryUsage.rss(),
  )
  const loop = (name: string, help: string, read: () => number) =>
    registry.sampled(`sallyport_event_loop_delay_${name}_seconds`, help, 'gauge', read)
  loop('p99', 'Event loop delay over the last minute or two.', () => delay.p99())
  loop('max', 'The longest delay of the event loop over the last minute or two.', () => delay.max())
}
