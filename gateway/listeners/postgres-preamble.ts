// What a PostgreSQL client says before TLS (protocol documentation, "SSL Session Encryption" and "Message Formats"): an
// SSLRequest, which is answered by `S`; before it maybe a GSSENCRequest, which is answered by `N`. A client of version 17
// may begin with TLS at once, if it offers ALPN `postgresql`. Plaintext start-up is refused in the protocol's own words, and
// a byte that comes with the request, before our `S`, would be plaintext smuggled into the encrypted session
// (CVE-2021-23214's class). A CancelRequest is somebody else's to judge (plain-cancels.ts).
import { type Arrival, ArrivalError } from './arrival/arrival.ts'
import type { Instead, Passed, Preamble } from './arrival/intake.ts'
import type { RawReader } from './arrival/raw-reader.ts'
import {
  CANCEL_REQUEST,
  errorResponse,
  GSSENC_REQUEST,
  HANDSHAKE_RECORD,
  POSTGRES_ALPN,
  readFirstPacket,
  REQUEST_BYTES,
  SSL_REQUEST,
} from '../upstream/starttls/postgres/wire.ts'

/** SSLRequest after a refused GSSENCRequest: more than one of each is no client. */
const MAX_REQUESTS = 2
/** Of a process id and the shortest secret (protocol 3.0); protocol 3.2 has longer ones. */
const KEY_BYTES = 8
/** Alert, fatal, no_application_protocol (RFC 7301 §3.2), which psql prints. */
const NO_APPLICATION_PROTOCOL = Buffer.from('15030300020278', 'hex')

export type PostgresStart =
  | { readonly kind: 'incomplete' }
  /** TLS at once. */
  | { readonly kind: 'direct' }
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  /** `key`: process id and secret. */
  | { readonly kind: 'cancel'; readonly length: number; readonly key: Buffer }
  | { readonly kind: 'refused'; readonly detail: string; readonly answer: Uint8Array | null }

/** What `bytes`, all that came since the last answer, amount to. The verdict on a prefix never changes. */
export function readPostgresStart(bytes: Buffer): PostgresStart {
  if (bytes[0] === HANDSHAKE_RECORD) return { kind: 'direct' }
  if (bytes.length < REQUEST_BYTES) return { kind: 'incomplete' }
  const code = bytes.readUInt32BE(4)
  if (code === CANCEL_REQUEST) return readCancel(bytes)
  if (code !== SSL_REQUEST && code !== GSSENC_REQUEST) return PLAIN
  if (bytes.readUInt32BE(0) !== REQUEST_BYTES) return PLAIN
  return { kind: code === SSL_REQUEST ? 'ssl' : 'gssenc' }
}

function readCancel(bytes: Buffer): PostgresStart {
  const packet = readFirstPacket(bytes)
  if (packet.kind === 'incomplete') return { kind: 'incomplete' }
  if (packet.kind !== 'cancel' || packet.key.length < KEY_BYTES)
    return refused('a CancelRequest that is none')
  const { length, key } = packet
  return { kind: 'cancel', length, key }
}

/** Who is to serve a CancelRequest with this key. @throws ArrivalError */
export type TakeCancel = (arrival: Pick<Arrival, 'source'>, key: Buffer) => Instead['serve']

/** Lets what comes before TLS pass. It throws ArrivalError and ConnectionGoneError. */
export function createPostgresPreamble(takeCancel: TakeCancel): Preamble {
  return (arrival, reader, first) => pass(arrival, reader, first, takeCancel)
}

async function pass(
  arrival: Pick<Arrival, 'raw' | 'source'>,
  reader: RawReader,
  first: Buffer,
  takeCancel: TakeCancel,
): Promise<Passed | Instead> {
  let bytes = first
  for (let count = 0; count < MAX_REQUESTS; count++) {
    let start = readPostgresStart(bytes)
    while (start.kind === 'incomplete') {
      bytes = Buffer.concat([bytes, await reader.next()])
      start = readPostgresStart(bytes)
    }
    if (start.kind === 'refused') throw toError(start)
    if (start.kind === 'direct') return direct(bytes, count)
    if (start.kind === 'cancel') {
      // All that its connection is for; libpq begins with it.
      if (bytes.length > start.length || count > 0)
        throw toError(refused('bytes came with a CancelRequest without TLS'))
      return { bytes, serve: takeCancel(arrival, start.key) }
    }
    if (bytes.length > REQUEST_BYTES) throw toError(refused('bytes came with the request for encryption'))
    arrival.raw.write(start.kind === 'ssl' ? 'S' : 'N')
    bytes = await reader.next()
    // Its ALPN may be missing: clients before version 17 know of none.
    if (start.kind === 'ssl') return { first: bytes, mustOffer: null }
  }
  throw toError(PLAIN)
}

function direct(first: Buffer, requests: number): Passed {
  // No client does so, and no server of PostgreSQL takes it.
  if (requests > 0) throw toError(refused('TLS without SSLRequest behind a GSSENCRequest'))
  return {
    first,
    mustOffer: {
      protocol: POSTGRES_ALPN,
      otherwise: new ArrivalError(
        'request-start-tls',
        `TLS without SSLRequest and without ALPN ${POSTGRES_ALPN}`,
        NO_APPLICATION_PROTOCOL,
      ),
    },
  }
}

type Refused = Extract<PostgresStart, { kind: 'refused' }>

function refused(detail: string, answer: Uint8Array | null = null): Refused {
  return { kind: 'refused', detail, answer }
}

function toError({ detail, answer }: Refused): ArrivalError {
  return new ArrivalError('request-start-tls', detail, answer)
}

/** 08P01 protocol_violation would be the client's fault to look for; 28000 is what pg_hba.conf gives. */
const PLAIN = refused(
  'the client began without TLS',
  errorResponse('28000', 'this port takes TLS with a client certificate alone: sslmode=verify-full'),
)
