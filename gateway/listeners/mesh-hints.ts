// What a mesh proxy says about a tunnel besides its destination: `baggage`, `forwarded` and `traceparent` of an HBONE
// request. None of it is authenticated. It goes into the audit record, named as hints, and nothing is decided by it, so
// that what is malformed is left out and refuses nobody.
import type { IncomingHttpHeaders } from 'node:http2'
import { type BaggageHints, readBaggage } from './baggage.ts'
import { type ForwardedHints, readForwarded } from './forwarded.ts'

export interface TraceHints {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly parentId: string
  readonly sampled: boolean
}

export interface MeshHints {
  readonly baggage: BaggageHints | null
  readonly forwarded: ForwardedHints | null
  readonly trace: TraceHints | null
}

/** W3C Trace Context §3.2.2. Version 00 ends here; of a later one that much is promised to stay as it is (§4.3). */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
/** A version of which nothing is known may be longer; nobody needs more of it. */
const MAX_TRACEPARENT = 256

/** Never throws. */
export function readMeshHints(headers: IncomingHttpHeaders): MeshHints {
  return Object.freeze({
    // W3C Baggage §3.2 and RFC 9110 §5.3: several fields are one list.
    baggage: readBaggage(text(headers.baggage)),
    forwarded: readForwarded(text(headers.forwarded)),
    trace: readTraceparent(text(headers.traceparent)),
  })
}

function text(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value ?? []).join(',')
}

/** Two of them are joined by a comma and thus none. */
export function readTraceparent(header: string): TraceHints | null {
  if (header.length > MAX_TRACEPARENT) return null
  const [, version = 'ff', traceId = '', parentId = '', flags = '', more] = TRACEPARENT.exec(header) ?? []
  if (version === 'ff' || (version === '00' && more !== undefined)) return null
  // §3.2.2.3 and §3.2.2.4: all zeros are invalid.
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null
  return Object.freeze({ traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}
