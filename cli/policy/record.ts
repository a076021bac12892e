// One line of audit events as what policy was asked then and what it said. Anything else has a word for why it is left out.
import * as z from 'zod'
import { parseHost } from '../../gateway/destinations/host.ts'
import { canonicalAddress } from '../../gateway/upstream/address-class.ts'
import { parseSpiffeId, SpiffeIdError } from '../../spiffe/id.ts'
import type { Asked } from './asked.ts'

/** Why a line is not asked about. */
export const SKIPPED = ['otherEvents', 'undecided', 'unreadable', 'destinationGone'] as const
export type Skipped = (typeof SKIPPED)[number]

export interface PastSession extends Asked {
  readonly id: string
  readonly result: 'allow' | 'deny'
  readonly policies: readonly string[]
}

const RECORD = z.object({
  event: z.literal('session'),
  id: z.string().max(128),
  openedAt: z.iso.datetime(),
  listener: z.string(),
  source: z.object({ ip: z.string(), vpcEndpoint: z.string().nullable() }),
  workload: z.string().nullable(),
  network: z.string().nullish(),
  serialNumber: z.string().nullable(),
  requested: z.object({ host: z.string(), port: z.int().min(1).max(65_535) }),
  decision: z.object({ result: z.enum(['allow', 'deny']), policies: z.array(z.string()) }),
})

/** Only whether it is a session's end, and whether policy was asked. */
const EVENT = z.object({ event: z.string(), decision: z.unknown().optional() })

export function parseRecord(line: string): PastSession | Skipped {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'unreadable'
  }
  const event = EVENT.safeParse(value)
  if (!event.success) return 'unreadable'
  if (event.data.event !== 'session') return 'otherEvents'
  if (event.data.decision === null) return 'undecided'
  const record = RECORD.safeParse(value)
  return record.success ? (toSession(record.data) ?? 'unreadable') : 'unreadable'
}

function toSession(record: z.infer<typeof RECORD>): PastSession | null {
  const { id, openedAt, listener, source, serialNumber, requested, decision } = record
  const principal = principalOf(record)
  // As records write them, an IPv6 address without brackets.
  const host = parseHost(requested.host.includes(':') ? `[${requested.host}]` : requested.host)
  const sourceIp = canonicalAddress(source.ip)
  if (principal === null || !host.ok || sourceIp === null) return null
  return {
    ...{ id, principal, host: host.host, port: requested.port },
    result: decision.result,
    policies: decision.policies,
    context: {
      now: new Date(openedAt),
      sourceIp,
      listener,
      serialNumber: serialNumber ?? '',
      ...(source.vpcEndpoint === null ? {} : { vpcEndpoint: source.vpcEndpoint }),
    },
  }
}

function principalOf({ workload, network }: z.infer<typeof RECORD>): Asked['principal'] | null {
  if (workload === null)
    return network === null || network === undefined ? null : { kind: 'network', name: network }
  try {
    return { kind: 'workload', id: parseSpiffeId(workload) }
  } catch (error) {
    if (error instanceof SpiffeIdError) return null
    throw error
  }
}
