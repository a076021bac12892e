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

/**
 * For which groups the ClientHello has a key ready. `all` is OpenSSL's own choice: X25519MLKEM768, which is post-quantum, and
 * X25519; to make the first costs more than all the rest of a resumed handshake. `x25519` is for a server that has chosen
 * X25519 before: it may still choose any other group of the same list, which then takes one more round trip.
 */
export type KeyShares = 'all' | 'x25519'

/** OpenSSL's own list (3.5), in its order, but for the finite-field groups; `*` marks what a key is sent for. */
const X25519_FIRST = '?X25519MLKEM768 / ?*X25519:?secp256r1 / ?X448:?secp384r1:?secp521r1'

const NO_ENTRY = {}
// By identity of the configuration's objects: a new configuration has new objects, and what it replaced is collected.
const contexts = new WeakMap<Destination, WeakMap<object, Map<KeyShares, SecureContext>>>()

/** The context of a destination with one of its entries; made once, since it parses every root. */
export function secureContextFor(
  destination: Destination,
  entry: ClientCertificateEntry | null,
  shares: KeyShares = 'all',
): SecureContext {
  let own = contexts.get(destination)
  if (own === undefined) {
    own = new WeakMap()
    contexts.set(destination, own)
  }
  const known = own.get(entry ?? NO_ENTRY) ?? new Map<KeyShares, SecureContext>()
  own.set(entry ?? NO_ENTRY, known)
  const context = known.get(shares) ?? makeContext(destination, entry, shares)
  known.set(shares, context)
  return context
}

function makeContext(
  destination: Destination,
  entry: ClientCertificateEntry | null,
  shares: KeyShares,
): SecureContext {
  return createSecureContext({
    ...(shares === 'all' ? {} : { ecdhCurve: X25519_FIRST }),
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
