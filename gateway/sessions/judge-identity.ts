// Whether the identity that a session was opened with would still be believed: the root of the kept chain, the key of its
// token, the network of its source. Time is no part of it; what an SVID's end means is said by `atExpiry`.
import type { X509Certificate } from 'node:crypto'
import { readCertificate } from '../../spiffe/certificate.ts'
import { identify, type Identified, type ListenerTrust } from '../listeners/identify.ts'
import { linkerdIdentity } from '../listeners/linkerd-identity.ts'
import type { IdentifyNetwork } from '../listeners/networks.ts'
import type { Refusal } from './judge-again.ts'
import type { Grounds } from './live-session.ts'

/** Whom a listener believes now, or would, where it is gone; null where there never was one. */
export type CurrentTrust = (listener: string) => ListenerTrust | null

export interface JudgeIdentityOptions {
  readonly trustOf: CurrentTrust
  readonly identifyNetwork: IdentifyNetwork
}

export interface JudgeIdentity {
  judge(grounds: Grounds, now: Date): Refusal | null
  fresh(): void
}

export function createJudgeIdentity({ trustOf, identifyNetwork }: JudgeIdentityOptions): JudgeIdentity {
  let trusts = new Map<string, ListenerTrust | null>()
  const trustNow = (listener: string): ListenerTrust | null => {
    const known = trusts.get(listener)
    if (known !== undefined) return known
    const trust = trustOf(listener)
    trusts.set(listener, trust)
    return trust
  }
  return {
    fresh() {
      trusts = new Map()
    },
    judge({ identity, listener, source }, now) {
      if (identity.credential === 'network') {
        const again = identifyNetwork(source)
        if (again.ok && again.principal.kind === 'network' && isSame(again, identity)) return null
        return { code: 'session-network-changed', detail: source.ip }
      }
      const trust = trustNow(listener)
      if (trust === null) return null
      return identity.credential === 'token' ? judgeToken(identity, trust) : judgeChain(identity, trust, now)
    },
  }
}

function judgeToken({ principal, tokenKeyId }: Identified, { bundle }: ListenerTrust): Refusal | null {
  if (principal.kind !== 'workload') return null
  const { trustDomain } = principal.id
  const known = bundle(trustDomain)?.jwtAuthorities.some(({ keyId }) => keyId === tokenKeyId)
  if (known === true) return null
  return {
    code: 'session-trust-removed',
    detail: `no key ${tokenKeyId} of ${trustDomain} is trusted any more`,
  }
}

function judgeChain(identity: Identified, trust: ListenerTrust, now: Date): Refusal | null {
  const { principal, chain } = identity
  const [leaf] = chain
  const root = chain.at(-1)
  if (principal.kind !== 'workload' || leaf === undefined || root === undefined) return null
  const { trustDomain } = principal.id
  const holds = isLinkerd(leaf)
    ? isOfLinkerd(identity, leaf, root, trust)
    : isAmong(root, trust.bundle(trustDomain)?.x509Authorities ?? [])
  if (holds) return null
  // Another root may have the same key, or vouch for the same issuing CA.
  const again = identify(chain.slice(0, -1), { authorized: true, error: null }, trust, atBest(chain, now))
  if (again.ok && isSame(again, identity)) return null
  const detail = again.ok ? 'the name means another workload' : again.detail
  return { code: 'session-trust-removed', detail }
}

/** While all of the chain was in time: an SVID that has expired since is none of this file's matter. */
function atBest(chain: readonly X509Certificate[], now: Date): Date {
  return new Date(
    Math.min(now.getTime(), ...chain.slice(0, -1).map(({ validToDate }) => validToDate.getTime())),
  )
}

function isLinkerd(leaf: X509Certificate): boolean {
  return !(leaf.subjectAltName ?? '').includes('URI:')
}

function isOfLinkerd(
  { principal }: Identified,
  leaf: X509Certificate,
  root: X509Certificate,
  { linkerd }: ListenerTrust,
): boolean {
  if (linkerd === null || principal.kind !== 'workload' || !isAmong(root, linkerd.trust.anchors)) return false
  const named = linkerdIdentity(readCertificate(leaf), linkerd.trust.map)
  return named.ok && named.id.uri === principal.id.uri && linkerd.trustDomains.includes(named.id.trustDomain)
}

const fingerprints = new WeakMap<readonly X509Certificate[], ReadonlySet<string>>()

/** By what it is, not which object: bundles are read anew with each change. */
function isAmong(root: X509Certificate, roots: readonly X509Certificate[]): boolean {
  const known = fingerprints.get(roots) ?? new Set(roots.map(({ fingerprint256 }) => fingerprint256))
  fingerprints.set(roots, known)
  return known.has(fingerprintOf(root))
}

const prints = new WeakMap<X509Certificate, string>()

/** Node works it out at each call. */
function fingerprintOf(certificate: X509Certificate): string {
  const known = prints.get(certificate) ?? certificate.fingerprint256
  prints.set(certificate, known)
  return known
}

function isSame(a: Identified, b: Identified): boolean {
  const nameOf = ({ principal }: Identified) =>
    principal.kind === 'workload' ? principal.id.uri : principal.name
  return a.principal.kind === b.principal.kind && nameOf(a) === nameOf(b)
}
