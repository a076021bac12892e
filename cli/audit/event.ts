// One line of a log as what it is: an audit event with its place in a chain, a line of another kind that stands there by
// right (start lines; logs and metrics, where both outputs go to one place), or neither. Trusts nothing.
import { z } from 'zod'

const HASH = /^sha256:[0-9a-f]{64}$/
export const CHAIN_ID = /^[0-9a-f]{32}$/

const LINKED = z.object({
  event: z.enum(['session.opened', 'session.progress', 'session', 'checkpoint']),
  chain: z.string().regex(CHAIN_ID),
  sequence: z.int().min(1),
  previous: z.string().regex(HASH).nullable(),
})

/** A place in a chain: what all audit events have. */
export type Linked = z.infer<typeof LINKED>

export type ReadLine =
  | { readonly kind: 'event'; readonly link: Linked; readonly json: Readonly<Record<string, unknown>> }
  | { readonly kind: 'other' }
  | { readonly kind: 'unreadable'; readonly why: string }

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** `bytes` without the line end. Never throws. */
export function readLine(bytes: Uint8Array): ReadLine {
  const json = parse(bytes)
  if (json === null) return { kind: 'unreadable', why: 'no JSON object' }
  const read = LINKED.safeParse(json)
  if (read.success) return { kind: 'event', link: read.data, json }
  return isOther(json)
    ? { kind: 'other' }
    : { kind: 'unreadable', why: 'no event of the audit, and nothing else that a gateway writes' }
}

/** Null where the bytes are not UTF-8 or not an object. */
export function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const json: unknown = JSON.parse(UTF8.decode(bytes))
    return typeof json === 'object' && json !== null && !Array.isArray(json)
      ? (json as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

/** Start lines, lines of the log (pino) and metrics (EMF). What names a chain is none of them. */
function isOther(json: Readonly<Record<string, unknown>>): boolean {
  if ('chain' in json || 'sequence' in json || 'previous' in json) return false
  if (json.event === 'listening' || json.event === 'ready') return true
  return '_aws' in json || (typeof json.level === 'number' && 'time' in json)
}
