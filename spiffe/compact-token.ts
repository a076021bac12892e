// The outer form of a JWT-SVID (standards/JWT-SVID.md §2, RFC 7515 §7.1): three parts, a header of three names, an
// object of claims. Read before anything is trusted: it chooses the trust domain and the key, and nothing else.
import { createHash } from 'node:crypto'
import { JwtSvidError } from './jwt-svid-error.ts'

/** Before any parsing: splitting a megabyte of dots costs memory (CVE-2025-27144). */
export const MAX_TOKEN_BYTES = 16 * 1024
const MAX_KEY_ID = 256

/** JWT-SVID.md §2.1. `none` and HMAC are absent, so that a public key can never be taken as a shared secret. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** §2: no other header may be there. `jku`, `jwk`, `x5u` and `x5c` would have the token choose its own key. */
const HEADER_NAMES: ReadonlySet<string> = new Set(['alg', 'kid', 'typ'])
/** §2.3. */
const TYPES: ReadonlySet<unknown> = new Set([undefined, 'JWT', 'JOSE'])

export interface CompactToken {
  readonly algorithm: Algorithm
  readonly keyId: string
  /** Not verified yet. */
  readonly claims: ReadonlyMap<string, unknown>
  /**
   * SHA-256 of header and payload in base64url. The signature stays out: an ECDSA signature can be changed into another
   * valid one by anybody, which would be a second name for the same token and a way out of its revocation.
   */
  readonly digest: string
}

/** @throws JwtSvidError `too-large`, `malformed`, `header-refused`, `algorithm-refused` */
export function parseCompactToken(text: string): CompactToken {
  // Characters, which are no more than bytes; every token that passes below is ASCII.
  if (text.length > MAX_TOKEN_BYTES)
    throw new JwtSvidError('too-large', `longer than ${MAX_TOKEN_BYTES} bytes`)
  const [, header, payload, signature] =
    /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(text) ?? []
  if (header === undefined || payload === undefined || signature === undefined) {
    throw new JwtSvidError('malformed', 'not three parts of base64url')
  }
  decode(signature)
  return Object.freeze({
    ...readHeader(readObject(header)),
    claims: readObject(payload),
    digest: createHash('sha256').update(`${header}.${payload}`).digest('base64url'),
  })
}

function readHeader(header: ReadonlyMap<string, unknown>): { algorithm: Algorithm; keyId: string } {
  if ([...header.keys()].some((name) => !HEADER_NAMES.has(name)))
    throw new JwtSvidError('header-refused', 'the header holds more than alg, kid and typ')
  if (!TYPES.has(header.get('typ')))
    throw new JwtSvidError('header-refused', 'the type is neither JWT nor JOSE')
  const algorithm = ALGORITHMS.find((name) => name === header.get('alg'))
  if (algorithm === undefined)
    throw new JwtSvidError('algorithm-refused', 'the signature algorithm is refused')
  const keyId = header.get('kid')
  // Optional by §2.2, but every key of a bundle has one; without it each key would have to be tried.
  if (typeof keyId !== 'string' || keyId === '' || keyId.length > MAX_KEY_ID)
    throw new JwtSvidError('header-refused', 'the header names no key')
  return { algorithm, keyId }
}

function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  // The last character may carry bits that no byte takes: two texts would be one token.
  if (bytes.toString('base64url') !== part) throw new JwtSvidError('malformed', 'not canonical base64url')
  return bytes
}

/** A map, so that no name in it (`__proto__`) means anything to us. */
function readObject(part: string): ReadonlyMap<string, unknown> {
  const bytes = decode(part)
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the text; it goes no further.
    throw new JwtSvidError('malformed', 'header or claims are not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new JwtSvidError('malformed', 'header or claims are not a JSON object')
  if (hasRepeatedName(text)) throw new JwtSvidError('malformed', 'a name stands twice in header or claims')
  return new Map<string, unknown>(Object.entries(value))
}

/** Strings and structure of a text that is already known to be JSON. */
const TOKENS = /"(?:[^"\\]+|\\.)*"|[{}[\],]/g

/**
 * RFC 7519 §4 leaves it open which of two equal names counts: JSON.parse keeps the last, other readers the first. Only
 * names of the object itself are looked at, since nothing inside a claim is read here.
 */
function hasRepeatedName(text: string): boolean {
  const names = new Set<string>()
  let depth = 0
  let nameNext = false
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') depth += 1
    if (token === '}' || token === ']') depth -= 1
    if (depth !== 1) continue
    if (token === '{' || token === ',') nameNext = true
    else if (nameNext && token.startsWith('"')) {
      const name = JSON.parse(token) as string
      if (names.has(name)) return true
      names.add(name)
      nameNext = false
    }
  }
  return false
}
