// Which client certificate a workload presents to a destination, and the TLS context made of it. The workload never
// holds the key: it is chosen here by the SPIFFE ID that the gateway has verified.
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { SpiffeId } from '../../spiffe/id.ts'
import type { ClientCertificateEntry, Destination } from '../config/types.ts'

/**
 * AES-128-GCM first: it costs the gateway measurably less per byte than AES-256 and is as good as the certificates
 * around it. Below TLS 1.3 only suites with forward secrecy and authenticated encryption (RFC 9325 §4.2).
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** The first entry one of whose patterns matches the workload; null = no client certificate. */
export function selectClientCertificate(
  entries: readonly ClientCertificateEntry[],
  workload: SpiffeId,
): ClientCertificateEntry | null {
  return entries.find((entry) => entry.workloads.some((pattern) => pattern.matches(workload))) ?? null
}

const NO_ENTRY = {}
// By identity of the configuration's objects: a new configuration has new objects, and what it replaced is collected.
const contexts = new WeakMap<Destination, WeakMap<object, SecureContext>>()

/** The context of a destination with one of its entries; made once, since it parses every root. */
export function secureContextFor(
  destination: Destination,
  entry: ClientCertificateEntry | null,
): SecureContext {
  let own = contexts.get(destination)
  if (own === undefined) {
    own = new WeakMap()
    contexts.set(destination, own)
  }
  let context = own.get(entry ?? NO_ENTRY)
  if (context === undefined) {
    context = makeContext(destination, entry)
    own.set(entry ?? NO_ENTRY, context)
  }
  return context
}

function makeContext(destination: Destination, entry: ClientCertificateEntry | null): SecureContext {
  return createSecureContext({
    ciphers: CIPHERS,
    minVersion: destination.minVersion,
    maxVersion: 'TLSv1.3',
    // Below TLS 1.3 a server could otherwise ask for the client certificate in mid-session, after the record said that
    // none was shown. (disableRenegotiation() has no effect on Node's client side.)
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    // Leaving `ca` out is what makes Node use its own list; an empty one would trust nobody.
    ...(destination.roots === 'system' ? {} : { ca: [...destination.roots] }),
    ...(entry === null ? {} : { cert: entry.keyPair.chainPem, key: entry.keyPair.key.reveal() }),
  })
}
