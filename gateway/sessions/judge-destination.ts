// Whether a session is still what its destination allows: the same destination for the same request, the same entry of
// clientCertificates, and a server whose recorded certificate meets the roots, pins and name of today. What was renewed
// in place closes nothing.
import type { Destination } from '../config/types.ts'
import { targetOf } from '../destinations/match.ts'
import { selectClientCertificate } from '../upstream/client-certificates.ts'
import { isFor, meetsPins, meetsRoots, type ServerProof } from '../upstream/server-proof.ts'
import type { Refusal } from './judge-again.ts'
import type { Grounds, UpstreamGrounds } from './live-session.ts'

/** `today`: what the request matches now; null = nothing. */
export function judgeDestination(grounds: Grounds, today: Destination | null): Refusal | null {
  const { destination, upstream } = grounds
  // A value never changes: what was judged by it is judged by it still.
  if (today === destination) return null
  if (today?.name !== destination.name) {
    return changed(today === null ? 'no destination has the request any more' : `it belongs to ${today.name}`)
  }
  return judgeRequest(grounds, today) ?? (upstream === null ? null : judgeServer(grounds, upstream, today))
}

function changed(detail: string): Refusal {
  return { code: 'session-destination-changed', detail }
}

function judgeRequest({ destination, requested, target, ech }: Grounds, today: Destination): Refusal | null {
  if (today.tls !== destination.tls) return changed(`tls is ${today.tls} now`)
  const now = targetOf(today, requested)
  if (now.host !== target.host || now.port !== target.port)
    return changed('requestedAs means another host now')
  if (ech && today.ech === 'refuse') return changed('ech is refused now')
  return null
}

function judgeServer(grounds: Grounds, { facts, tls }: UpstreamGrounds, today: Destination): Refusal | null {
  if (today.tls === 'passthrough') return judgeNameProof(grounds, facts.serverName, today)
  if (tls === null) return null
  if (facts.tlsVersion === 'TLSv1.2' && today.minVersion === 'TLSv1.3')
    return changed('minVersion is TLSv1.3 now')
  return judgeEntry(grounds, tls.entry, today) ?? judgeProof(grounds, tls.server, today)
}

function judgeNameProof(
  { target, destination }: Grounds,
  proven: string | null,
  today: Destination,
): Refusal | null {
  if (proven === null) {
    // Where it was required before, the proof is only on its way.
    const tightened = destination.nameProof === 'whenPresent' && today.nameProof === 'required'
    return tightened ? changed('nameProof is required now') : null
  }
  if (proven === target.host || today.serverNames.includes(proven)) return null
  return changed(`${proven} is none of serverNames any more`)
}

type Entry = { readonly source: string; readonly sha256: string } | null

function judgeEntry({ identity: { principal } }: Grounds, then: Entry, today: Destination): Refusal | null {
  const now =
    principal.kind === 'workload' ? selectClientCertificate(today.clientCertificates, principal.id) : null
  // The same place, renewed or not; or the same certificate in another place.
  if (now?.source === then?.source || (now !== null && now.keyPair.leafSha256 === then?.sha256)) return null
  const detail =
    now === null ? 'no entry is for the workload any more' : 'another entry is for the workload now'
  return { code: 'session-client-certificate-changed', detail }
}

function judgeProof(
  { destination, target }: Grounds,
  server: ServerProof | null,
  today: Destination,
): Refusal | null {
  const nameOf = ({ serverName }: Destination) => serverName ?? target.host
  const untrusted = (detail: string): Refusal => ({ code: 'session-server-untrusted', detail })
  if (!isSameRoots(destination.roots, today.roots) && (server === null || !holds(server, today.roots))) {
    return untrusted('none of the roots of today is in its chain')
  }
  if (!isSameList(destination.pins, today.pins) && (server === null || !meetsPins(server, today.pins))) {
    return untrusted('its key is none of the pins of today')
  }
  const name = nameOf(today)
  if (name !== nameOf(destination) && (server === null || !isFor(server, name))) {
    return untrusted(`its certificate is not for ${name}`)
  }
  return null
}

const held = new WeakMap<ServerProof, WeakMap<readonly string[], boolean>>()

/** Signatures are verified once for all sessions with one server. */
function holds(server: ServerProof, roots: Destination['roots']): boolean {
  if (roots === 'system') return meetsRoots(server, roots)
  const known = held.get(server) ?? new WeakMap<readonly string[], boolean>()
  held.set(server, known)
  const found = known.get(roots) ?? meetsRoots(server, roots)
  known.set(roots, found)
  return found
}

const compared = new WeakMap<readonly string[], WeakMap<readonly string[], boolean>>()

/** Compared once for all sessions: a configuration that is read anew has new lists of the same roots. */
function isSameRoots(a: Destination['roots'], b: Destination['roots']): boolean {
  if (a === 'system' || b === 'system' || a === b) return a === b
  const known = compared.get(a) ?? new WeakMap<readonly string[], boolean>()
  compared.set(a, known)
  const found = known.get(b) ?? isSameList(a, b)
  known.set(b, found)
  return found
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((one, index) => one === b[index]))
}
