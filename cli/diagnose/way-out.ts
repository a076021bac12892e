// The part of a diagnosis that touches the network: one connection by the gateway's own way out, and what each stage of it
// found. For `tls: passthrough` the client's part may follow (name.ts).
import type { ReasonCode } from '../../gateway/audit/reasons.ts'
import type { Destination } from '../../gateway/config/types.ts'
import { selectClientCertificate } from '../../gateway/upstream/client-certificates.ts'
import {
  type OpenUpstream,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamTimings,
} from '../../gateway/upstream/types.ts'
import { describeEntry, watchChain } from './certificates.ts'
import type { Journal } from './journal.ts'
import { proveName } from './name.ts'
import { addressNotes, attemptNotes, clientCertificateNotes, resolutionNotes, serverNotes } from './notes.ts'
import type { Asked, Diagnosis, StepName } from './types.ts'

export interface WayOut {
  readonly openUpstream: OpenUpstream
  readonly now: () => Date
}

/** How long the service has for its end after ours, before the socket is taken away. */
const HANG_UP_MS = 200

/** `asked` is for the host and port that are dialled. */
export async function goOut(
  { openUpstream, now }: WayOut,
  asked: Asked,
  destination: Destination,
  journal: Journal,
): Promise<Diagnosis> {
  const { principal, host, port } = asked
  const workload = principal.kind === 'workload' ? principal.id : null
  const entries = destination.clientCertificates
  const entry = workload === null ? null : selectClientCertificate(entries, workload)
  journal.clientCertificate = describeEntry(entries, entry)
  let connection: UpstreamConnection
  try {
    connection = await openUpstream({
      ...{ destination, host, port, workload, serverName: null },
      signal: new AbortController().signal,
      onTls: (socket) => watchChain(socket, (chain) => journal.sawServer(chain)),
    })
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    const { code, message, timings } = error
    journal.wentOut(error)
    tellStages(journal, destination, timings, now(), { step: stepOf(code), message })
    return journal.refused(code, message)
  }
  journal.wentOut(connection)
  tellStages(journal, destination, connection.timings, now(), null)
  try {
    if (destination.tls === 'passthrough') return await proveName(connection, asked, destination, journal)
    return journal.reached(farewell(destination))
  } finally {
    hangUp(connection)
  }
}

function farewell({ name, tls }: Destination): string {
  return tls === 'opaque'
    ? `nothing here: ${name} takes connections, and tls: opaque proves no more; look at the client, or at the service’s own answer`
    : `nothing here: ${name} is reached as a session would reach it; look at the client, or at the service’s own answer`
}

interface Stage {
  readonly step: StepName
  readonly applies: (destination: Destination) => boolean
  readonly notes: (journal: Journal, destination: Destination, now: Date) => readonly string[]
  readonly ms: keyof UpstreamTimings | null
}

const always = (): boolean => true
const originates = ({ tls }: Destination): boolean => tls === 'originate'

const STAGES: readonly Stage[] = [
  { step: 'resolve', applies: always, notes: resolutionNotes, ms: 'resolveMs' },
  { step: 'address', applies: always, notes: addressNotes, ms: null },
  { step: 'connect', applies: always, notes: attemptNotes, ms: 'connectMs' },
  {
    step: 'startTls',
    applies: (destination) => originates(destination) && destination.startTls !== null,
    notes: (_journal, { startTls }) => [`in the protocol of ${startTls}`],
    ms: null,
  },
  { step: 'tls', applies: originates, notes: (journal, _, now) => serverNotes(journal, now), ms: 'tlsMs' },
  {
    step: 'client certificate',
    applies: originates,
    notes: (journal, _, now) => clientCertificateNotes(journal, now),
    ms: null,
  },
]

/** Each stage with what it found, up to the one that failed. */
function tellStages(
  journal: Journal,
  destination: Destination,
  timings: UpstreamTimings | null,
  now: Date,
  failure: { readonly step: StepName; readonly message: string } | null,
): void {
  for (const { step, applies, notes, ms } of STAGES) {
    if (!applies(destination)) continue
    const took = ms === null || timings === null ? null : timings[ms]
    const found = notes(journal, destination, now)
    if (step === failure?.step) return journal.tell(step, 'no', [failure.message, ...found], took)
    journal.tell(step, 'ok', found, took)
  }
}

function stepOf(code: ReasonCode): StepName {
  if (code.startsWith('dns-')) return 'resolve'
  if (code.startsWith('address-')) return 'address'
  if (code.startsWith('connect-')) return 'connect'
  if (code.startsWith('upstream-starttls-')) return 'startTls'
  return code.startsWith('upstream-tls-client-certificate-') ? 'client certificate' : 'tls'
}

/** The service sees an ordinary end, and nothing keeps the process. */
function hangUp({ raw, stream }: UpstreamConnection): void {
  stream.on('error', () => {})
  stream.end()
  setTimeout(() => raw.destroy(), HANG_UP_MS)
}
