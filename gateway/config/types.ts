// The gateway's configuration after it was read, checked and resolved: immutable values, durations in milliseconds,
// sizes in bytes, certificates parsed. Nothing behind this file sees YAML or a path again.
import type { X509Certificate } from 'node:crypto'
import type { SecureVersion } from 'node:tls'
import type { Secret } from '../../common/secret.ts'
import type { SpiffeIdPattern } from '../../spiffe/pattern.ts'
import type { Bundle } from '../../spiffe/bundle.ts'
import type { AdmissionLimits } from '../listeners/arrival/admission.ts'
import type { LinkerdIdentityMap } from '../listeners/linkerd-map.ts'
import type { StartTlsName } from '../upstream/starttls/types.ts'

/** A certificate chain (leaf first) and its private key, as PEM for OpenSSL and parsed for the record. */
export interface KeyPair {
  readonly chainPem: string
  readonly key: Secret
  readonly leaf: X509Certificate
  /** SHA-256 over the leaf's DER, lower-case hex. */
  readonly leafSha256: string
}

export type Protocol = 'connect' | 'hbone' | 'linkerd' | 'sni' | 'fixed' | 'passthrough'

export interface ListenerConfig {
  readonly name: string
  readonly address: HostPort
  readonly protocol: Protocol
  readonly minVersion: SecureVersion
  /** Whose IDs are let in. Empty with `passthrough`, where nobody shows one. */
  readonly trustDomains: readonly string[]
  /** Null = no header is expected, and one that comes is no TLS. */
  readonly proxyProtocol: {
    /** Whether this address may say for whom it connects. */
    readonly from: (ip: string) => boolean
  } | null
  readonly clientAuthentication: 'svid' | 'svid-or-token'
  /** What tokens must be for; null = the gateway's own SPIFFE ID. */
  readonly audience: string | null
  /** With `sni`: canonical server name to the name of a destination. */
  readonly serverNames: ReadonlyMap<string, string>
  /** With `fixed`: the name of the destination. */
  readonly destination: string | null
  readonly startTls: 'postgres' | null
  /** With `passthrough`: what the client asks for besides the name; null = as the destination has it. */
  readonly port: number | null
  /** Equal where nothing that this listener goes by differs; certificates and roots apart, which it follows by itself. */
  readonly fingerprint: string
}

/** What the authority has issued to the gateway, and the bundle of their trust domain. */
export interface IssuedIdentity {
  readonly keyPair: KeyPair
  readonly bundle: Bundle
}

/** Certificates and roots, which change while the gateway runs: always read together, replaced together. */
export interface TrustMaterial {
  /** By listener; `passthrough` has none. */
  readonly identities: ReadonlyMap<string, KeyPair>
  /** The gateway's own. */
  readonly identity: KeyPair
  /** By trust domain, its own among them. A root verifies IDs of its own trust domain alone. */
  readonly bundles: ReadonlyMap<string, Bundle>
  readonly linkerd: LinkerdTrust | null
}

/** Linkerd's identities that are no SPIFFE IDs. */
export interface LinkerdTrust {
  readonly anchors: readonly X509Certificate[]
  readonly map: LinkerdIdentityMap
}

export interface Network {
  readonly name: string
  readonly sources: readonly string[]
  readonly vpcEndpoints: readonly string[]
}

/** An address to listen on; port 0 picks a free one. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface ClientCertificateEntry {
  /** Where certificate and key come from: what makes it the same entry when the certificate in it is renewed. */
  readonly source: string
  readonly workloads: readonly SpiffeIdPattern[]
  readonly keyPair: KeyPair
}

/** One entry of `hosts`: an exact name, `*.suffix` (any depth below, never the apex), `*` (any DNS name) or an IP literal. */
export type HostPattern =
  | { readonly kind: 'exact'; readonly host: string }
  | { readonly kind: 'suffix'; readonly suffix: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'address'; readonly address: string }

export interface Destination {
  readonly name: string
  readonly hosts: readonly HostPattern[]
  readonly ports: readonly number[]
  readonly tags: readonly string[]
  readonly tls: 'originate' | 'opaque' | 'passthrough'
  /** Addresses under which a mesh asks for it: matched and recorded, never dialled. Then it has one exact host and one port. */
  readonly requestedAs: readonly HostPort[]
  /** With `passthrough`: names that a ClientHello may show besides the host that was asked for. */
  readonly serverNames: readonly string[]
  /** With `passthrough`: whether a ClientHello must name a server; one that names a wrong one never passes. */
  readonly nameProof: 'required' | 'whenPresent'
  /** With `passthrough`: what to do about an encrypted ClientHello, whose outer name must match all the same. */
  readonly ech: 'ignore' | 'refuse'
  readonly clientCertificates: readonly ClientCertificateEntry[]
  /** `system` is Node's own list (Mozilla's); otherwise PEM roots that replace it. */
  readonly roots: 'system' | readonly string[]
  /** Base64 SHA-256 over the SubjectPublicKeyInfo of the server's leaf, without the `sha256/` prefix; empty = no pins. */
  readonly pins: readonly string[]
  /** null = the requested host. */
  readonly serverName: string | null
  readonly minVersion: SecureVersion
  readonly alpn: readonly string[]
  /** The protocol that begins in plaintext and turns to TLS in the middle; null = TLS, or whatever it is, from the first byte. */
  readonly startTls: StartTlsName | null
  /** With `startTls: postgres`: TLS from the first byte with ALPN `postgresql`, which is then in `alpn`. */
  readonly startTlsDirect: boolean
  /** Exceptions to the refusal by address class, in CIDR form, for this destination alone. */
  readonly allowAddresses: readonly string[]
  readonly connect: {
    readonly timeoutMs: number
    readonly attempts: number
    /** Fixed wait for the server's judgement of our client certificate; null = by measure (design §4, Confirm). */
    readonly confirmMs: number | null
  }
  readonly session: {
    readonly idleTimeoutMs: number
    readonly halfCloseTimeoutMs: number
    readonly maxDurationMs: number | null
    /** What the end of the SVID means for a session that was opened with it (design §5.1). */
    readonly atExpiry: 'renewed' | 'close' | 'keep'
  }
  readonly limits: DestinationLimits | null
}

/** Of one destination in one process; null = none. Bytes are those of each direction by itself. */
export interface DestinationLimits {
  readonly sessions: number | null
  readonly sessionsPerWorkload: number | null
  readonly newPerSecond: number | null
  readonly newPerSecondPerWorkload: number | null
  readonly bytesPerSecond: number | null
  readonly bytesPerSecondPerWorkload: number | null
}

/** For how long what DNS says counts, in milliseconds. */
export interface DnsLimits {
  /** An answer counts at least this long, whatever its TTL says. */
  readonly minTtlMs: number
  /** And at most this long. */
  readonly maxTtlMs: number
  /** That a name does not exist counts this long: c-ares does not show the SOA record, which could say (RFC 2308 §5). */
  readonly negativeTtlMs: number
  /** How long past its time an answer may stand in while no resolver answers (RFC 8767); 0 = never. */
  readonly staleTtlMs: number
}

export type CheckpointsConfig =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 's3'
      readonly bucket: string
      /** Without a slash at either end; empty = none. */
      readonly prefix: string
      /** Null = as the bucket has it. */
      readonly retentionDays: number | null
    }

export interface GatewayConfig {
  readonly trustDomain: string
  /** Null until the authority has issued the gateway's own identity. */
  readonly material: TrustMaterial | null
  readonly networks: readonly Network[]
  /** `connections` null = as many as the process's open files allow. */
  readonly arrivals: Omit<AdmissionLimits, 'connections'> & {
    readonly timeoutMs: number
    readonly connections: number | null
    /** What HTTP/2 tunnels may hold together of bytes that one side does not read. */
    readonly bufferedBytes: number
  }
  readonly listeners: readonly ListenerConfig[]
  readonly destinations: readonly Destination[]
  readonly policyFiles: readonly { readonly name: string; readonly text: string }[]
  readonly audit: {
    readonly sink: { readonly kind: 'stdout' } | { readonly kind: 'file'; readonly path: string }
    readonly onFailure: 'refuse' | 'continue'
    readonly maxBacklogBytes: number
    /** Where else checkpoints go; null = nowhere. */
    readonly checkpoints: CheckpointsConfig | null
  }
  readonly metrics: {
    /** Metrics for CloudWatch on standard error; null = none. */
    readonly emf: { readonly namespace: string; readonly intervalMs: number } | null
  }
  /** The gateway's own VPC, in CIDR form. */
  readonly vpcCidrs: readonly string[]
  readonly dns: DnsLimits & {
    /** Each `address:port`; empty = the system's resolvers. */
    readonly servers: readonly string[]
  }
  readonly health: HostPort
  readonly admin: HostPort & {
    /** Who may use it, over mTLS; null = plain HTTP, on loopback. */
    readonly workloads: readonly SpiffeIdPattern[] | null
  }
  readonly drain: { readonly delayMs: number; readonly deadlineMs: number }
  readonly lastKnownGood: {
    /** Where a configuration that came from afar is kept for the next start. */
    readonly directory: string
    /** For how long new sessions are let in while the source of the configuration cannot be asked. */
    readonly maxAgeMs: number
  } | null
  /** `sha256:` and the hex digest over every file that the configuration is made of, policy apart. */
  readonly revision: string
}
