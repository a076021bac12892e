// The records of one session, as they stand in logs, checked for their form and for nothing else.
import { z } from 'zod'

const text = z.string().nullable()
const count = z.number()
const milliseconds = z.number().nullable()

const COMMON = z.object({
  id: z.string(),
  connection: z.string(),
  chain: z.string(),
  sequence: count,
  openedAt: z.string(),
  listener: z.string(),
  source: z.object({ ip: z.string(), port: count, vpcEndpoint: text }),
  workload: text,
  network: text,
  serialNumber: text,
  tokenId: text,
  credential: text,
  requested: z.object({ host: z.string(), port: count, serverName: text }).nullable(),
  destination: text,
  decision: z
    .object({
      result: z.string(),
      mode: z.string(),
      policies: z.array(z.string()),
      cached: z.boolean(),
    })
    .nullable(),
  upstream: z
    .object({
      address: text,
      serverName: text,
      nameProof: text,
      tlsVersion: text,
      cipher: text,
      resumed: z.boolean().nullable(),
      certificateSha256: text,
      clientCertificateSha256: text,
      attempts: count,
    })
    .nullable(),
  revision: z.object({ config: z.string(), policy: z.string() }),
})
const BYTES = z.object({ sent: count, received: count })

const OPENED = COMMON.extend({ event: z.literal('session.opened') })
const PROGRESS = COMMON.extend({ event: z.literal('session.progress'), at: z.string(), bytes: BYTES })
const CLOSED = COMMON.extend({
  event: z.literal('session'),
  closedAt: z.string(),
  bytes: BYTES,
  outcome: z.object({ code: z.string(), by: z.string(), detail: text, hint: text }),
  timings: z.looseObject({ durationMs: milliseconds }),
})

const RECORD = z.discriminatedUnion('event', [OPENED, PROGRESS, CLOSED])

export type SessionRecord = z.infer<typeof RECORD>
export type ClosedRecord = z.infer<typeof CLOSED>

/** Null where it is no record of a session. */
export function readRecord(json: Readonly<Record<string, unknown>>): SessionRecord | null {
  const read = RECORD.safeParse(json)
  return read.success ? read.data : null
}
