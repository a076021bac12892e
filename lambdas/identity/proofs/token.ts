// The outer form of a JWT (RFC 7519, JWS compact serialisation), read before anything about it is trusted: what is
// found here chooses the issuer and the key, and nothing else.
import { createHash } from 'node:crypto'
import * as z from '../schema-library.ts'
import { parseStrictJson } from '../strict-json.ts'
import { ProofError } from './proof.ts'

/** Before any parsing: splitting a megabyte of dots costs memory (CVE-2025-27144). */
export const MAX_TOKEN_BYTES = 16 * 1024
const MAX_KEY_ID = 256

/**
 * Asymmetric signatures alone; the key's own type must fit too. `none` and HMAC are absent, so a public key can never
 * be taken as a shared secret.
 */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** ID tokens and access tokens (RFC 9068). Logout tokens, DPoP proofs and the like are signed by the same keys. */
const TYPES = new Set(['jwt', 'at+jwt', 'application/at+jwt', 'jose'])
/** Each would have the token choose its own key, or change how it is read. */
const FORBIDDEN_HEADERS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc']

const HEADER = z.looseObject({
  alg: z.string(),
  kid: z.string().check(z.minLength(1), z.maxLength(MAX_KEY_ID)),
  typ: z.optional(z.string()),
})
const PAYLOAD = z.record(z.string(), z.unknown())

export interface CompactToken {
  readonly text: string
  readonly algorithm: Algorithm
  readonly keyId: string
  /** Not verified yet. */
  readonly claims: Readonly<Record<string, unknown>>
  /**
   * Base64url SHA-256 of header and payload. The signature stays out: an ECDSA signature can be changed into another
   * valid one, which would make a second name for the same token.
   */
  readonly digest: string
}

function decode(part: string): string {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw new ProofError('token-malformed', 'not canonical base64url')
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
}

function readPart<T>(part: string, schema: z.Schema<T>, name: string): T {
  try {
    return z.parse(schema, parseStrictJson(decode(part)))
  } catch (error) {
    throw new ProofError('token-malformed', `the token's ${name} cannot be read`, { cause: error })
  }
}

function readHeader(part: string): { algorithm: Algorithm; keyId: string } {
  const header = readPart(part, HEADER, 'header')
  const forbidden = FORBIDDEN_HEADERS.find((name) => Object.hasOwn(header, name))
  if (forbidden !== undefined) {
    throw new ProofError('token-header-refused', `the header parameter ${forbidden} is refused`)
  }
  if (header.typ !== undefined && !TYPES.has(header.typ.toLowerCase())) {
    throw new ProofError('token-header-refused', 'the token is of another type')
  }
  const algorithm = ALGORITHMS.find((name) => name === header.alg)
  if (algorithm === undefined) throw new ProofError('algorithm-refused', 'the signature algorithm is refused')
  return { algorithm, keyId: header.kid }
}

/**
 * Reads the three parts of a token.
 * @throws ProofError `token-too-large`, `token-malformed`, `token-header-refused`, `algorithm-refused`
 */
export function parseCompactToken(text: string): CompactToken {
  if (text.length > MAX_TOKEN_BYTES) throw new ProofError('token-too-large', 'the token is over 16 KiB')
  const match = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(text)
  const [, header, payload] = match ?? []
  if (header === undefined || payload === undefined) {
    throw new ProofError('token-malformed', 'not three base64url parts')
  }
  return {
    text,
    ...readHeader(header),
    claims: readPart(payload, PAYLOAD, 'payload'),
    digest: createHash('sha256').update(`${header}.${payload}`).digest('base64url'),
  }
}
