// The one table of reason codes: how each way for an attempt to end is answered, and what the operator can do.
// Answers, records, metrics and docs/errors.md derive from it. A code is never renamed: people alert on it.

/** Proxy error types of RFC 9209 §2.3 that Sallyport uses. */
export type ProxyError =
  | 'connection_limit_reached'
  | 'connection_refused'
  | 'connection_terminated'
  | 'connection_timeout'
  | 'destination_ip_unroutable'
  | 'destination_unavailable'
  | 'dns_error'
  | 'dns_timeout'
  | 'http_request_denied'
  | 'http_request_error'
  | 'proxy_internal_error'
  | 'tls_alert_received'
  | 'tls_certificate_error'
  | 'tls_protocol_error'

interface Reason {
  /** The answer on HTTP listeners; null where the session was open, or where there is nobody left to answer. */
  readonly status: 400 | 403 | 405 | 407 | 408 | 429 | 431 | 500 | 502 | 503 | 504 | 505 | null
  readonly proxyError: ProxyError | null
  readonly meaning: string
  /** For the operator; null where nothing is to be done. */
  readonly hint: string | null
}

const client = (meaning: string, hint: string | null): Reason => ({
  status: 403,
  proxyError: 'http_request_denied',
  meaning,
  hint,
})
/** Nobody that was identified ever gets this: it asks for credentials (RFC 9110 §15.5.8). */
const challenged = (meaning: string, hint: string): Reason => ({
  status: 407,
  proxyError: 'http_request_denied',
  meaning,
  hint,
})
/** There is nobody to answer. */
const silent = (meaning: string, hint: string | null): Reason => ({
  status: null,
  proxyError: null,
  meaning,
  hint,
})
/** RFC 9209 §2.3.12. */
const limited = (status: 429 | 503, meaning: string, hint: string): Reason => ({
  status,
  proxyError: 'connection_limit_reached',
  meaning,
  hint,
})
/** The session was open, or about to be. */
const closed = silent
const request = (status: 400 | 405 | 408 | 431 | 505, meaning: string, hint: string | null): Reason => ({
  status,
  proxyError: 'http_request_error',
  meaning,
  hint,
})
const denied = client
const upstream = (
  status: 502 | 503 | 504,
  proxyError: ProxyError,
  meaning: string,
  hint: string,
): Reason => ({
  status,
  proxyError,
  meaning,
  hint,
})
const ISSUE_SVID = 'the workload must fetch a new X.509-SVID from the authority'
const SVID_RULES = 'the certificate breaks the X509-SVID standard; issue it by the authority'
const EXCEPTION = 'if this address is meant, list it in allowAddresses of the destination'

const TABLE = {
  closed: { status: null, proxyError: null, meaning: 'both sides ended the session in order', hint: null },

  'client-closed': silent('the client went away before it asked for anything', null),
  'client-handshake-failed': silent(
    'the TLS handshake with the client failed',
    'see detail; openssl s_client shows the same from the client’s side',
  ),
  'client-handshake-timeout': silent(
    'the client did not finish its TLS handshake in time',
    'a port scan, or a client that speaks no TLS to this port',
  ),
  'client-not-tls': silent(
    'the client speaks no TLS',
    'see detail; every listener takes TLS from the first byte, but for a declared startTls',
  ),
  'client-hello-malformed': silent('the client’s TLS ClientHello is not well-formed', 'see detail'),
  'client-alpn-mismatch': silent(
    'the client offered no protocol of this listener',
    'hbone wants ALPN h2, linkerd wants transport.l5d.io/v1; another listener may be meant',
  ),
  'client-proxy-header-missing': silent(
    'the connection brought no PROXY protocol v2 header and the listener requires one',
    'switch PROXY protocol v2 on in the balancer’s target group, or remove proxyProtocol from the listener',
  ),
  'client-proxy-header-malformed': silent('the PROXY protocol v2 header is not well-formed', 'see detail'),
  'client-proxy-header-second': silent(
    'a second PROXY protocol header follows the first',
    'somebody behind the balancer tries to be somebody else, or two balancers stand in a row',
  ),
  'client-proxy-header-source': silent(
    'the address may not say for whom it connects',
    'list the balancer’s subnets in proxyProtocol.from of the listener',
  ),
  'client-proxy-header-timeout': silent('the PROXY protocol v2 header did not arrive in time', null),
  'client-network-unknown': silent(
    'no entry of networks covers the client’s address or VPC endpoint',
    'add it to networks, or let the workload use an identity and another listener',
  ),

  'client-name-unmapped': client(
    'the map of trust has no entry for the name in the client’s certificate',
    'add it to trust: linkerd: map',
  ),
  'client-token-missing': challenged(
    'the client showed neither a certificate nor a token',
    'set HTTPS_PROXY=https://token:<JWT-SVID>@gateway:port, or give the client its X.509-SVID',
  ),
  'client-token-malformed': challenged(
    'what the client shows as token is no JWT-SVID',
    'Proxy-Authorization is Bearer <token>, or Basic with the token as password',
  ),
  'client-token-audience': challenged(
    'the client’s token is for another audience',
    'the audience is that of the listener, by default the gateway’s own SPIFFE ID; list it in jwt.audiences of the registration',
  ),
  'client-token-expired': challenged('the client’s token has expired', 'fetch a new one from the authority'),
  'client-token-not-yet-valid': challenged(
    'the client’s token is not valid yet',
    'compare the clocks of the workload, the authority and the gateway',
  ),
  'client-token-untrusted': challenged(
    'no key of its trust domain’s bundle verifies the client’s token',
    'identity.files.bundle must be a SPIFFE bundle (JWKS), which holds keys of tokens; PEM does not',
  ),

  'client-certificate-missing': client(
    'the client showed no certificate',
    'the workload must present its X.509-SVID (curl: --proxy-cert and --proxy-key)',
  ),
  'client-certificate-malformed': client('the client’s certificate cannot be read', SVID_RULES),
  'client-certificate-expired': client('the client’s certificate has expired', ISSUE_SVID),
  'client-certificate-not-yet-valid': client(
    'the client’s certificate is not valid yet',
    'compare the clocks of the workload, the authority and the gateway',
  ),
  'client-certificate-chain-expired': client(
    'a CA certificate in the client’s chain is out of its time',
    ISSUE_SVID,
  ),
  'client-certificate-untrusted': client(
    'no root of the trust domain’s bundle verifies the client’s certificate',
    'the workload must send its issuing CA too, and the gateway’s bundle must hold the root',
  ),
  'client-certificate-weak': client('the client’s key or signature algorithm is too weak', SVID_RULES),
  'client-certificate-refused': client(
    'TLS did not accept the client’s certificate',
    'see detail for what OpenSSL found',
  ),
  'client-trust-domain-unknown': client(
    'the client’s SPIFFE ID is of a trust domain that this gateway does not trust',
    'only the configured trust domain’s IDs are accepted',
  ),
  'client-svid-no-uri': client('the client’s certificate has no URI SAN', SVID_RULES),
  'client-svid-multiple-uris': client('the client’s certificate has more than one URI SAN', SVID_RULES),
  'client-svid-malformed-id': client('the client’s URI SAN is not a SPIFFE ID', SVID_RULES),
  'client-svid-no-path': client(
    'the client’s SPIFFE ID has no path, which is a trust domain’s own ID and never a workload’s',
    SVID_RULES,
  ),
  'client-svid-is-ca': client('the client’s certificate is a CA certificate', SVID_RULES),
  'client-svid-key-usage': client(
    'the client’s certificate has a key usage that an SVID must not have, or lacks digitalSignature',
    SVID_RULES,
  ),
  'client-svid-extended-key-usage': client(
    'the client’s certificate may not be used as a client certificate',
    SVID_RULES,
  ),

  'request-malformed': request(
    400,
    'the request is not well-formed HTTP',
    'the client must send a CONNECT request',
  ),
  'request-method': request(
    405,
    'the method is not CONNECT',
    'set the gateway as HTTPS proxy; it is not a web server',
  ),
  'request-version': request(505, 'the HTTP version is not 1.0, 1.1 or 2', null),
  'request-target': request(
    400,
    'the target is not host:port',
    'CONNECT takes host:port with a port of 1 to 65535 and nothing else (RFC 9110 §9.3.6)',
  ),
  'request-host-missing': request(400, 'HTTP/1.1 without exactly one Host', null),
  'request-host-mismatch': request(400, 'Host names another host than the target', null),
  'request-body': request(
    400,
    'a CONNECT with a body',
    'CONNECT has no content: no Transfer-Encoding, no Content-Length but 0',
  ),
  'request-too-large': request(431, 'the header block is too large', null),
  'request-timeout': request(408, 'the request did not arrive in time', null),

  'request-abandoned': silent('the client went away before it was answered', null),

  'limit-handshakes': silent(
    'more TLS handshakes wait than the gateway takes',
    'a flood, or a fleet that connects at once; scale out, or raise arrivals.waiting',
  ),
  'limit-connections': silent(
    'the process has as many connections as its open files allow',
    'scale out, or raise the limit of open files (ulimit -n); arrivals.connections is what it leads to',
  ),
  'limit-connections-per-source': silent(
    'the source has as many open connections as one may have',
    'a leak in the client, or a balancer whose address stands for many clients: use PROXY protocol, or raise arrivals.connectionsPerSource',
  ),

  'limit-process-sessions': limited(
    503,
    'the process has as many sessions as its open files allow',
    'scale out, or raise the limit of open files (ulimit -n)',
  ),
  'limit-sessions': limited(
    503,
    'the destination has as many live sessions as its limits.sessions',
    'scale out, or raise it; it is counted in each task by itself',
  ),
  'limit-sessions-per-workload': limited(
    429,
    'the workload has as many live sessions at the destination as limits.sessionsPerWorkload',
    'a pool that is too large, or sessions that nobody closes; sallyport sessions list --workload shows them',
  ),
  'limit-new-sessions': limited(
    503,
    'new sessions of the destination come faster than its limits.newPerSecond',
    'the client should try again; a fleet that connects at once, or a limit that is too low',
  ),
  'limit-new-sessions-per-workload': limited(
    429,
    'new sessions of the workload come faster than limits.newPerSecondPerWorkload',
    'a client that does not reuse its connections, or retries without waiting',
  ),

  'limit-frames': silent(
    'the HTTP/2 client sent more control frames, or took back more requests, than any honest client does',
    'see detail; an attack, or a fault of the client’s library',
  ),

  'request-server-name-missing': silent(
    'the client’s ClientHello names no server',
    'the client must send the server name (SNI) of the service it wants',
  ),
  'request-ech': silent(
    'the client’s ClientHello is encrypted (ECH), which the destination refuses',
    'switch ECH off in the client, or say ech: ignore for the destination',
  ),
  'request-start-tls': silent(
    'the client did not begin the protocol of startTls as it should',
    'see detail; psql: sslmode=verify-full towards a listener with startTls',
  ),
  'request-cancel-unknown': silent(
    'the client asked to cancel a query of a session that this task does not have',
    'the session is over, goes through another task (keep one client on one task), or somebody guesses; nothing was sent',
  ),

  'request-server-first': silent(
    'the server spoke before the client’s ClientHello, and the destination is tls: passthrough',
    'a service that speaks first needs startTls where its protocol has one, or tls: opaque (SSH, FTP)',
  ),

  'destination-unknown': denied(
    'no destination matches the host and port asked for',
    'add a destination with this host and port, and a policy that permits it',
  ),

  'revoked-workload': denied(
    'the revocation list names the workload',
    'detail has the entry and its reason; remove the entry from revocations.yaml when the workload is trusted again',
  ),
  'revoked-certificate': denied(
    'the revocation list names the serial number of the client’s certificate',
    'detail has the entry and its reason; the workload needs a new X.509-SVID, and whoever has the old one is to be found',
  ),
  'revoked-token': denied(
    'the revocation list names the client’s token',
    'detail has the entry and its reason; the workload needs a new token, and whoever has the old one is to be found',
  ),
  'revoked-destination': denied(
    'the revocation list names the destination',
    'detail has the entry and its reason; remove the entry from revocations.yaml when the destination may be reached again',
  ),

  'policy-denied': denied(
    'no policy permits it, or one forbids it',
    'decision.policies names the forbid that applied; where it is empty, no permit covers this workload, host and port: sallyport policy explain shows the nearest',
  ),
  'policy-error': denied(
    'a policy failed at run time, which denies',
    'see detail for the policy; rewrite the expression that fails',
  ),

  'dns-not-found': upstream(
    502,
    'dns_error',
    'the name does not exist or has no address',
    'check hosts of the destination and dns.servers',
  ),
  'dns-failed': upstream(502, 'dns_error', 'the resolver failed', 'check dns.servers and the path to them'),
  'dns-timeout': upstream(
    504,
    'dns_timeout',
    'the resolver did not answer in time',
    'check dns.servers and the path to them',
  ),

  'address-unspecified': denied(
    'the name resolves to the unspecified address',
    'a name that points there is blocked or misconfigured',
  ),
  'address-loopback': denied('the name resolves to a loopback address', EXCEPTION),
  'address-link-local': denied('the name resolves to a link-local address', EXCEPTION),
  'address-metadata': denied(
    'the name resolves to a metadata, credentials, DNS or time service of the cloud',
    'this is how credentials are stolen; look at who asked for it',
  ),
  'address-private': denied('the name resolves to a private address', EXCEPTION),
  'address-cgnat': denied('the name resolves to an address of the shared range 100.64.0.0/10', EXCEPTION),
  'address-vpc': denied('the name resolves to an address inside the gateway’s VPC', EXCEPTION),
  'address-own-listener': denied(
    'the name resolves to a port on which this gateway listens',
    'the request would come back here, and no exception allows it; the client should reach the gateway without a proxy (NO_PROXY)',
  ),
  'address-multicast': denied('the name resolves to a multicast or broadcast address', null),
  'address-benchmark': denied('the name resolves to an address for benchmarks', EXCEPTION),
  'address-documentation': denied(
    'the name resolves to an address for documentation',
    'somebody took an example for a configuration; look at hosts of the destination and at the name’s DNS records',
  ),
  'address-embedded': denied(
    'the name resolves to an IPv6 address of a translator or tunnel (NAT64, 6to4, Teredo, ISATAP and the like)',
    'where the gateway’s network has such a translator, list its prefix, such as 64:ff9b::/96, in allowAddresses of the destination',
  ),
  'address-reserved': denied(
    'the name resolves to an address that is not of the global unicast range',
    EXCEPTION,
  ),
  'address-blocked': denied(
    'the lock at the socket refused an address that the check before it had let through',
    'a fault of Sallyport; please report it with the record',
  ),

  'connect-refused': upstream(
    502,
    'connection_refused',
    'the endpoint refused the connection',
    'is the service up and listening on this port?',
  ),
  'connect-timeout': upstream(
    504,
    'connection_timeout',
    'the endpoint did not answer in time',
    'a firewall or security group may drop the packets; check the gateway’s way out',
  ),
  'connect-reset': upstream(
    502,
    'connection_terminated',
    'the endpoint reset the connection while it was opened',
    'a firewall or an allow-list of addresses may refuse the gateway’s egress address',
  ),
  'connect-unreachable': upstream(
    502,
    'destination_ip_unroutable',
    'there is no route to the endpoint',
    'check routes and, for IPv6, whether the network has it',
  ),
  'connect-failed': upstream(
    502,
    'destination_unavailable',
    'the connection could not be opened',
    'see detail for the system’s error',
  ),
  'connect-breaker-open': upstream(
    503,
    'destination_unavailable',
    'every endpoint of the host failed again and again, and another session is probing it',
    'look at the connect-… code of the sessions before; the way opens with the first connection that comes up',
  ),

  'upstream-starttls-refused': upstream(
    502,
    'tls_protocol_error',
    'the server will not begin TLS in the protocol of startTls',
    'see detail; switch TLS on in the server. The gateway never goes on in plaintext',
  ),
  'upstream-starttls-malformed': upstream(
    502,
    'tls_protocol_error',
    'the server does not speak the protocol of startTls',
    'see detail; is this the right port, and the right startTls?',
  ),
  'upstream-starttls-injected': upstream(
    502,
    'tls_protocol_error',
    'plaintext followed the server’s agreement to begin TLS',
    'somebody between the gateway and the server may have put it there; look at the path',
  ),
  'upstream-starttls-closed': upstream(
    502,
    'connection_terminated',
    'the server closed or reset before it agreed to begin TLS',
    'see detail; the server may refuse the address, want TLS from the first byte, or be full',
  ),
  'upstream-starttls-timeout': upstream(
    504,
    'connection_timeout',
    'the server did not agree to begin TLS within connect.timeout',
    'the service accepts TCP but does not answer in the protocol of startTls; is this the right port?',
  ),

  'upstream-tls-timeout': upstream(
    504,
    'connection_timeout',
    'the TLS handshake did not finish within connect.timeout',
    'the service accepts TCP but does not answer TLS; is this the right port?',
  ),
  'upstream-tls-closed': upstream(
    502,
    'tls_protocol_error',
    'the server closed or reset during the handshake',
    'the server may want another SNI, another version, or refuse the address',
  ),
  'upstream-tls-plaintext': upstream(
    502,
    'tls_protocol_error',
    'the server does not speak TLS on this port',
    'use tls: opaque, or the port on which it speaks TLS; detail shows what it said once it has done so twice within ten minutes',
  ),
  'upstream-tls-protocol': upstream(
    502,
    'tls_protocol_error',
    'no TLS version in common',
    'check minVersion of the destination; below TLS 1.2 nothing is spoken',
  ),
  'upstream-tls-cipher': upstream(
    502,
    'tls_protocol_error',
    'no cipher, group or signature algorithm in common',
    'the server must offer ECDHE with AES-GCM or ChaCha20-Poly1305 (RFC 9325); some answer so to a server name that they do not know',
  ),
  'upstream-tls-alpn': upstream(
    502,
    'tls_protocol_error',
    'the server speaks none of the protocols in alpn',
    'list a protocol that it speaks, or leave alpn out where it does not negotiate one',
  ),
  'upstream-tls-handshake-failed': upstream(
    502,
    'tls_protocol_error',
    'the TLS handshake failed',
    'see detail for what OpenSSL found',
  ),
  'upstream-tls-certificate-expired': upstream(
    502,
    'tls_certificate_error',
    'the server’s certificate, or one in its chain, has expired',
    'the operator of the service must renew it',
  ),
  'upstream-tls-certificate-not-yet-valid': upstream(
    502,
    'tls_certificate_error',
    'the server’s certificate is not valid yet',
    'compare the clocks of the gateway and the service',
  ),
  'upstream-tls-certificate-untrusted': upstream(
    502,
    'tls_certificate_error',
    'no root of the destination verifies the server’s certificate',
    'set roots of the destination to the CA that issues it; the server must send its issuing CA',
  ),
  'upstream-tls-certificate-refused': upstream(
    502,
    'tls_certificate_error',
    'the server’s certificate was not accepted',
    'see detail for what OpenSSL found',
  ),
  'upstream-tls-name-mismatch': upstream(
    502,
    'tls_certificate_error',
    'the server’s certificate is not for this name',
    'see detail for the names it has; serverName of the destination sets the one expected',
  ),
  'upstream-tls-pin-mismatch': upstream(
    502,
    'tls_certificate_error',
    'the server’s key is none of the pinned ones',
    'if the service changed its key on purpose, add the new pin',
  ),
  'upstream-tls-client-certificate-required': upstream(
    502,
    'tls_alert_received',
    'the server asked for a client certificate and none is configured for this workload',
    'add clientCertificates for this workload to the destination',
  ),
  'upstream-tls-client-certificate-refused': upstream(
    502,
    'tls_alert_received',
    'the server refused the client certificate',
    'the partner must trust its issuer and subject; check that it has not expired',
  ),

  'name-mismatch': silent(
    'the server name in the client’s ClientHello is not the host that it asked for',
    'see detail for both names; list a name that the service goes by as well in serverNames of the destination',
  ),
  'name-missing': silent(
    'the client’s ClientHello names no server, so nothing proves the host that it asked for',
    'let the client send SNI, or say nameProof: whenPresent for the destination',
  ),
  'name-not-tls': silent(
    'the client did not speak TLS through the tunnel, and the destination is tls: passthrough',
    'let the client speak TLS to the service; where the gateway should, say tls: originate for the destination; where nobody does, tls: opaque',
  ),
  'name-hello-malformed': silent(
    'the ClientHello that the client sent through the tunnel is not well-formed',
    'see detail',
  ),
  'name-timeout': silent(
    'the client’s ClientHello did not come through the tunnel within arrivals.timeout',
    'a connection that was opened ahead of its use, or a client that waits for the server to speak first',
  ),
  'name-client-closed': silent('the client ended its side before its ClientHello', null),
  'name-upstream-closed': silent(
    'the server ended its side before the client’s ClientHello',
    'look at the server’s own log at this time; it may refuse the gateway’s egress address',
  ),

  'relay-client-reset': {
    status: null,
    proxyError: null,
    meaning: 'the client reset the session',
    hint: null,
  },
  'relay-client-failed': {
    status: null,
    proxyError: null,
    meaning: 'the client’s side failed in mid-session',
    hint: 'see detail',
  },
  'relay-upstream-reset': {
    status: null,
    proxyError: null,
    meaning: 'the server reset the session',
    hint: 'look at the server’s own log at this time',
  },
  'relay-upstream-failed': {
    status: null,
    proxyError: null,
    meaning: 'the server’s side failed in mid-session',
    hint: 'see detail',
  },
  'relay-idle-timeout': {
    status: null,
    proxyError: null,
    meaning: 'no byte moved for session.idleTimeout',
    hint: 'raise session.idleTimeout, or let the application keep the session alive',
  },
  'relay-half-close-timeout': {
    status: null,
    proxyError: null,
    meaning: 'one side ended and the other moved no byte for session.halfCloseTimeout',
    hint: 'raise session.halfCloseTimeout if the protocol answers that late',
  },
  'relay-max-duration': {
    status: null,
    proxyError: null,
    meaning: 'the session reached session.maxDuration',
    hint: null,
  },

  'session-draining': {
    status: 503,
    proxyError: 'connection_limit_reached',
    meaning: 'the gateway is draining and takes nothing new',
    hint: 'the client should try again; another task takes it',
  },
  'session-drained': {
    status: null,
    proxyError: null,
    meaning: 'the gateway closed the session at the end of its drain',
    hint: 'raise drain.deadline and the deployment’s stop time if sessions need longer',
  },
  'session-trust-removed': closed(
    'the root that vouched for the client, or the key of its token, is no longer trusted',
    'a roll-over that removes a root before the SVIDs under it have expired; the workload comes back with a new one',
  ),
  'session-network-changed': closed('networks says something else of the client’s address now', null),
  'session-svid-expired': closed(
    'the client’s SVID expired, and no newer one of the same workload was accepted lately',
    'let the workload renew in time and open a connection now and then; session.atExpiry: keep lets sessions outlive their SVID',
  ),
  'session-destination-changed': closed(
    'the destination was removed, or changed so that it does not allow the session any more',
    'see detail',
  ),
  'session-client-certificate-changed': closed(
    'the entry of clientCertificates by which the session was opened is not the workload’s any more',
    'see detail; a renewed certificate in the same entry closes nothing',
  ),
  'session-server-untrusted': closed(
    'roots, pins or serverName of the destination changed, and the server’s certificate does not meet them',
    'see detail',
  ),
  'session-address-refused': closed(
    'the address that the session was dialled to is not permitted any more',
    'if this address is meant, list it in allowAddresses of the destination',
  ),
  'session-closed-by-operator': closed(
    'an operator closed the session',
    'sallyport sessions close, or DELETE /sessions',
  ),
  'session-audit-unavailable': {
    status: 503,
    proxyError: 'proxy_internal_error',
    meaning: 'audit records cannot be written, so nothing new is let through',
    hint: 'read standard output or free the disk; a broken pipe needs a restart; audit.onFailure: continue goes on without evidence',
  },
  'session-configuration-stale': {
    status: 503,
    proxyError: 'proxy_internal_error',
    meaning:
      'the source of the configuration could not be asked for longer than lastKnownGood.maxAge, or the revocation list was never read yet',
    hint: 'GET /config on the admin port says since when and why; sessions that are open go on',
  },
  'session-internal-error': {
    status: 500,
    proxyError: 'proxy_internal_error',
    meaning: 'a fault of Sallyport itself',
    hint: 'please report it with the gateway’s log at this time',
  },
} as const satisfies Record<string, Reason>

export type ReasonCode = keyof typeof TABLE

export const REASONS: Readonly<Record<ReasonCode, Reason>> = TABLE

export function isReasonCode(text: string): text is ReasonCode {
  return Object.hasOwn(REASONS, text)
}

/**
 * Whether the code may be told to the client. What `destination-…`, `revoked-…`, `policy-…` and `address-…` have in
 * common is that telling them apart would let a client map what exists; they share one answer.
 */
export function isDisclosed(code: ReasonCode): boolean {
  return code.startsWith('client-') || code.startsWith('request-')
}
