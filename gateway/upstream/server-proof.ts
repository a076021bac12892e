// What a server proved itself with, kept with the session so that it can be judged again by roots and pins that changed
// meanwhile. The certificates were verified in the handshake; here they are only held against other roots.
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { type DetailedPeerCertificate, getCACertificates } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { Destination } from '../config/types.ts'
import { spkiPin } from './server-identity.ts'

/** One object for all sessions with the same server, of which there may be thousands. */
export interface ServerProof {
  /** DER, leaf first, with the root that Node ended in where it found one. */
  readonly chain: readonly Buffer[]
}

const MAX_DEPTH = 10
/** Chains that are told apart; past that, equal ones are kept twice. */
const MAX_KNOWN = 4096

const known = new LRUCache<string, ServerProof>({ max: MAX_KNOWN })

/** Null where the server showed no certificate, as on a resumed session. */
export function readServerProof(leaf: Partial<DetailedPeerCertificate>): ServerProof | null {
  const chain: Buffer[] = []
  const seen = new Set<object>()
  const fingerprints: string[] = []
  let at: Partial<DetailedPeerCertificate> | undefined = leaf
  // A root is its own issuer.
  while (at?.raw !== undefined && !seen.has(at) && chain.length < MAX_DEPTH) {
    seen.add(at)
    chain.push(at.raw)
    fingerprints.push(at.fingerprint256 ?? '')
    at = at.issuerCertificate
  }
  if (chain.length === 0) return null
  const key = fingerprints.join()
  const proof = known.get(key) ?? Object.freeze({ chain })
  known.set(key, proof)
  return proof
}

/** Whether the leaf's key is one of the pins; no pins = any. */
export function meetsPins({ chain: [leaf] }: ServerProof, pins: readonly string[]): boolean {
  return pins.length === 0 || (leaf !== undefined && pins.includes(spkiPin(new X509Certificate(leaf))))
}

/** Whether the leaf is for the name, as the handshake would find: DNS names and IP addresses of the SAN, never the CN. */
export function isFor({ chain: [leaf] }: ServerProof, name: string): boolean {
  if (leaf === undefined) return false
  const certificate = new X509Certificate(leaf)
  // checkIP throws for what is no address.
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined
  return certificate.checkHost(name, { subject: 'never' }) !== undefined
}

/**
 * Whether one of the roots is in the chain or issued a certificate of it. Only a self-signed root counts, as for OpenSSL
 * without partial chains. Times are not looked at: they were judged in the handshake, and TLS asks no second time.
 */
export function meetsRoots({ chain }: ServerProof, roots: Destination['roots']): boolean {
  const trusted = parsed(roots)
  return chain.some((der) => {
    const certificate = new X509Certificate(der)
    return trusted.some(
      (root) =>
        root.fingerprint256 === certificate.fingerprint256 ||
        (certificate.checkIssued(root) && certificate.verify(root.publicKey)),
    )
  })
}

const parsedRoots = new WeakMap<readonly string[], readonly X509Certificate[]>()

function parsed(roots: Destination['roots']): readonly X509Certificate[] {
  const pems = roots === 'system' ? systemRoots() : roots
  const found =
    parsedRoots.get(pems) ??
    pems.map((pem) => new X509Certificate(pem)).filter((root) => root.checkIssued(root))
  parsedRoots.set(pems, found)
  return found
}

let system: readonly string[] | null = null

/** With those of NODE_EXTRA_CA_CERTS, which a handshake without `ca` trusts too. */
function systemRoots(): readonly string[] {
  system ??= getCACertificates('default')
  return system
}
