// Certificates as `sallyport diagnose` shows them. A server's certificate is its own words: escaped and cut.
import type { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { cut, toLine } from '../../gateway/audit/text.ts'
import type { ClientCertificateEntry } from '../../gateway/config/types.ts'
import type { ClientCertificate, ShownCertificate } from './types.ts'

const MAX_SHOWN = 300
const MAX_CHAIN = 8
const HOUR_MS = 3_600_000
const DAY_HOURS = 24

/** Text of a peer, fit for a terminal: one line of what cannot move a cursor. */
export function safe(text: string): string {
  const quoted = toLine([cut(text, MAX_SHOWN)])
  return quoted.slice(2, -2).replaceAll('\\"', '"').replaceAll('\\n', ', ')
}

/** Keeps the chain at the moment at which the handshake's messages are through, before anybody has judged it. */
export function watchChain(socket: TLSSocket, keep: (chain: readonly ShownCertificate[]) => void): void {
  socket.prependOnceListener('secure', () => {
    const chain: ShownCertificate[] = []
    const seen = new Set<string>()
    let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
    // A root names itself as its issuer.
    while (next?.fingerprint256 !== undefined && !seen.has(next.fingerprint256) && chain.length < MAX_CHAIN) {
      seen.add(next.fingerprint256)
      chain.push(describePeer(next))
      next = next.issuerCertificate
    }
    keep(chain)
  })
}

function describePeer(peer: DetailedPeerCertificate): ShownCertificate {
  return {
    subject: distinguished(peer.subject),
    issuer: distinguished(peer.issuer),
    names: peer.subjectaltname === undefined ? null : safe(peer.subjectaltname),
    serialNumber: peer.serialNumber.toLowerCase(),
    notBefore: toIso(peer.valid_from),
    notAfter: toIso(peer.valid_to),
    sha256: peer.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

/** `CN=…, O=…`, as Node gives it apart. */
function distinguished(name: object): string {
  const parts = Object.entries(name).map(([key, value]) => `${key}=${[value].flat().join('+')}`)
  return parts.length === 0 ? '(empty)' : safe(parts.join(', '))
}

/** The certificate of one entry; whether the server asked for it is known after the handshake alone. */
export function describeEntry(
  entries: readonly ClientCertificateEntry[],
  entry: ClientCertificateEntry | null,
): ClientCertificate | null {
  if (entry === null) return null
  const { leaf, leafSha256 } = entry.keyPair
  return { entry: entries.indexOf(entry), ...describeOwn(leaf), sha256: leafSha256, askedFor: null }
}

function describeOwn(leaf: X509Certificate): Omit<ShownCertificate, 'sha256'> {
  return {
    subject: safe(leaf.subject),
    issuer: safe(leaf.issuer),
    names: leaf.subjectAltName === undefined ? null : safe(leaf.subjectAltName),
    serialNumber: leaf.serialNumber.toLowerCase(),
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
  }
}

/** A time that OpenSSL printed; what it could not print stays as it is. */
function toIso(printed: string): string {
  const time = new Date(printed)
  return Number.isNaN(time.getTime()) ? safe(printed) : time.toISOString()
}

/** `2027-01-01T… (in 36 days)`, `2026-11-25T… (EXPIRED, 30 hours ago)`. */
export function expiry(notAfter: string, now: Date): string {
  const until = new Date(notAfter).getTime() - now.getTime()
  const hours = Math.trunc(Math.abs(until) / HOUR_MS)
  const time = hours < 2 * DAY_HOURS ? `${hours} hours` : `${Math.trunc(hours / DAY_HOURS)} days`
  return `${notAfter} (${until <= 0 ? `EXPIRED, ${time} ago` : `in ${time}`})`
}
