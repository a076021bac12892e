// The layer between dial and TLS: for a destination with `startTls` the server has to agree to begin TLS first, and nothing
// that it said in plaintext outlives that. For all other destinations it is not there.
import type { Socket } from 'node:net'
import type { Destination } from '../../config/types.ts'
import { within } from '../budget.ts'
import { UpstreamError } from '../types.ts'
import type { StartTlsSet } from './registry.ts'
import type { Upgraded } from './types.ts'

const NOT_THERE: Upgraded = { adapt: (tls) => tls }

/** Rejects with an UpstreamError of an `upstream-starttls-…` code; `raw` is the caller's to reset. */
export async function upgrade(
  raw: Socket,
  destination: Destination,
  protocols: StartTlsSet,
  signal: AbortSignal,
): Promise<Upgraded> {
  const { startTls, startTlsDirect } = destination
  if (startTls === null) return NOT_THERE
  const upgraded = await within(signal, 'upstream-starttls-timeout', (inner) =>
    protocols(startTls).upgrade(raw, destination, inner),
  )
  // What is here now came in plaintext. Fed to TLS it would only fail the handshake; read after it, it would be taken for
  // the server's word. With direct TLS there was no agreement yet that it could follow.
  if (raw.readableLength > 0 && !startTlsDirect) {
    const detail = `${raw.readableLength} bytes came with the server's answer`
    throw new UpstreamError('upstream-starttls-injected', detail)
  }
  return upgraded
}

/** The IP address of `203.0.113.9:5432` or `[2001:db8::1]:5432`. */
export function addressOf(endpoint: string): string {
  const address = endpoint.slice(0, endpoint.lastIndexOf(':'))
  return address.startsWith('[') ? address.slice(1, -1) : address
}
