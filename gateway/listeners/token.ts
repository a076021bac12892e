// A JWT-SVID as a workload's credential, where a listener takes one: what a `Proxy-Authorization` shows, and who that is.
// The text is a secret: it is in no message and no record. Trusts the bundles of the listener's trust domains.
import { JwtSvidError, type JwtSvidErrorCode, MAX_TOKEN_BYTES, verifyJwtSvid } from '../../spiffe/jwt-svid.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Identity, ListenerTrust } from './identify.ts'

const CODES: Readonly<Record<JwtSvidErrorCode, ReasonCode>> = {
  'too-large': 'client-token-malformed',
  malformed: 'client-token-malformed',
  'header-refused': 'client-token-malformed',
  'algorithm-refused': 'client-token-malformed',
  'claims-malformed': 'client-token-malformed',
  'malformed-id': 'client-token-malformed',
  'no-path': 'client-token-malformed',
  'lives-too-long': 'client-token-malformed',
  'trust-domain-unknown': 'client-token-untrusted',
  'key-unknown': 'client-token-untrusted',
  'key-unfit': 'client-token-untrusted',
  'weak-key': 'client-token-untrusted',
  untrusted: 'client-token-untrusted',
  audience: 'client-token-audience',
  'not-yet-valid': 'client-token-not-yet-valid',
  expired: 'client-token-expired',
}

/**
 * The token in a `Proxy-Authorization`: `Bearer <token>` (RFC 6750 §2.1), or Basic with the token as password (RFC 7617),
 * which is what `HTTPS_PROXY=https://token:<token>@gateway` makes of it. The user name may be anything. Null where it is
 * neither.
 */
export function readToken(proxyAuthorization: string): string | null {
  const [, scheme = '', credentials = ''] =
    /^([A-Za-z]+) +([A-Za-z0-9._~+/=-]+) *$/.exec(proxyAuthorization) ?? []
  if (scheme.toLowerCase() === 'bearer') return credentials
  // A third more for base64, and the user name.
  if (scheme.toLowerCase() !== 'basic' || credentials.length > 2 * MAX_TOKEN_BYTES) return null
  const text = Buffer.from(credentials, 'base64').toString('latin1')
  const colon = text.indexOf(':')
  return colon === -1 ? null : text.slice(colon + 1)
}

export interface TokenOptions {
  readonly audience: string
  readonly trust: ListenerTrust
  readonly now: Date
}

/** Who shows `proxyAuthorization`; null = nothing was shown. Never rejects. */
export async function identifyByToken(
  proxyAuthorization: string | null,
  { audience, trust, now }: TokenOptions,
): Promise<Identity> {
  if (proxyAuthorization === null) return { ok: false, code: 'client-token-missing', detail: null }
  const token = readToken(proxyAuthorization)
  if (token === null) {
    return { ok: false, code: 'client-token-malformed', detail: 'neither Bearer nor Basic with a token' }
  }
  try {
    const { id, tokenId, keyId, expiresAt } = await verifyJwtSvid(token, {
      audience,
      bundle: trust.bundle,
      now,
    })
    return {
      ok: true,
      principal: { kind: 'workload', id },
      credential: 'token',
      serialNumber: '',
      tokenId,
      tokenKeyId: keyId,
      expiresAt,
      chain: [],
    }
  } catch (error) {
    if (error instanceof JwtSvidError) return { ok: false, code: CODES[error.code], detail: error.message }
    return { ok: false, code: 'client-token-malformed', detail: 'the token cannot be read' }
  }
}
