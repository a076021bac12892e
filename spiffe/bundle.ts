// Trust bundles: what verifies the SVIDs of one trust domain. Read from the SPIFFE bundle format (a JWKS,
// standards/SPIFFE_Trust_Domain_and_Bundle.md §4) or from PEM, written as both. Trusts the text no further than its size.
import { type JsonWebKey, X509Certificate } from 'node:crypto'
import { readCertificate } from './certificate.ts'
import { parseTrustDomain } from './id.ts'

export type BundleErrorCode = 'too-large' | 'too-many-keys' | 'malformed' | 'not-a-ca' | 'empty'

export class BundleError extends Error {
  readonly code: BundleErrorCode

  constructor(code: BundleErrorCode, message: string) {
    super(message)
    this.name = 'BundleError'
    this.code = code
  }
}

export interface JwtAuthority {
  readonly keyId: string
  readonly key: JsonWebKey
}

export interface Bundle {
  readonly trustDomain: string
  readonly x509Authorities: readonly X509Certificate[]
  readonly jwtAuthorities: readonly JwtAuthority[]
  /** `spiffe_sequence`; readers keep the highest that they saw. */
  readonly sequence: number | null
  readonly refreshHintSeconds: number | null
}

const MAX_BYTES = 256 * 1024
const MAX_KEYS = 100

/** Reads a bundle from JWKS or PEM text. A PEM bundle without a certificate is an error. @throws BundleError, SpiffeIdError */
export function readBundle(text: string, trustDomain: string): Bundle {
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw new BundleError('too-large', `larger than ${MAX_BYTES} bytes`)
  const name = parseTrustDomain(trustDomain)
  return text.trimStart().startsWith('{') ? readJwks(text, name) : readPem(text, name)
}

function readPem(text: string, trustDomain: string): Bundle {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new BundleError('empty', 'holds neither a JWKS nor a PEM certificate')
  checkCount(blocks.length)
  const x509Authorities = blocks.map(readAuthority)
  return { trustDomain, x509Authorities, jwtAuthorities: [], sequence: null, refreshHintSeconds: null }
}

function checkCount(count: number): void {
  if (count > MAX_KEYS) throw new BundleError('too-many-keys', `more than ${MAX_KEYS} keys`)
}

function readAuthority(source: string | Buffer): X509Certificate {
  let certificate: X509Certificate
  let isCa: boolean
  try {
    certificate = new X509Certificate(source)
    isCa = readCertificate(certificate).isCa
  } catch {
    throw new BundleError('malformed', 'holds a certificate that cannot be read')
  }
  if (!isCa) throw new BundleError('not-a-ca', 'holds a certificate that is not a CA certificate')
  return certificate
}

type Json = Readonly<Record<string, unknown>>

function readJwks(text: string, trustDomain: string): Bundle {
  let json: Json
  try {
    json = JSON.parse(text) as Json
  } catch {
    throw new BundleError('malformed', 'is not JSON')
  }
  const { keys } = json
  if (!Array.isArray(keys)) throw new BundleError('malformed', 'has no array "keys"')
  checkCount(keys.length)
  const x509Authorities: X509Certificate[] = []
  const jwtAuthorities: JwtAuthority[] = []
  for (const key of keys as unknown[]) {
    // Unknown or missing `use` and `kty` are ignored by the standard (§4.2.3).
    if (typeof key !== 'object' || key === null || typeof (key as Json).kty !== 'string') continue
    const { use } = key as Json
    if (use === 'x509-svid') addX509Authority(key as Json, x509Authorities)
    else if (use === 'jwt-svid') jwtAuthorities.push(readJwtAuthority(key as Json))
  }
  return {
    trustDomain,
    x509Authorities,
    jwtAuthorities,
    sequence: readCount(json, 'spiffe_sequence'),
    refreshHintSeconds: readCount(json, 'spiffe_refresh_hint'),
  }
}

/** An entry without x5c is skipped; the first certificate is the one (§4.2.1). */
function addX509Authority(key: Json, into: X509Certificate[]): void {
  const { x5c } = key
  if (!Array.isArray(x5c) || x5c.length === 0) return
  const first: unknown = x5c[0]
  if (typeof first !== 'string') throw new BundleError('malformed', 'an x5c entry is not text')
  into.push(readAuthority(Buffer.from(first, 'base64')))
}

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'] as const

function readJwtAuthority(key: Json): JwtAuthority {
  const { kid } = key
  if (typeof kid !== 'string' || kid === '') throw new BundleError('malformed', 'a jwt-svid key has no kid')
  if (PRIVATE_MEMBERS.some((member) => member in key))
    throw new BundleError('malformed', 'holds a private key')
  const { use: _use, kid: _kid, ...rest } = key
  return { keyId: kid, key: rest }
}

function readCount(json: Json, name: string): number | null {
  const value = json[name]
  if (value === undefined) return null
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new BundleError('malformed', `${name} is not a whole number`)
  }
  return value
}

/** The bundle as JWKS text (§4.1). An x509-svid entry has no kid. */
export function writeBundle(bundle: Bundle): string {
  const x509 = bundle.x509Authorities.map((certificate) => ({
    ...certificate.publicKey.export({ format: 'jwk' }),
    use: 'x509-svid',
    x5c: [certificate.raw.toString('base64')],
  }))
  const jwt = bundle.jwtAuthorities.map(({ keyId, key }) => ({ ...key, kid: keyId, use: 'jwt-svid' }))
  return JSON.stringify({
    keys: [...x509, ...jwt],
    ...(bundle.sequence === null ? {} : { spiffe_sequence: bundle.sequence }),
    ...(bundle.refreshHintSeconds === null ? {} : { spiffe_refresh_hint: bundle.refreshHintSeconds }),
  })
}

/** The X.509 roots alone, as concatenated PEM. */
export function writePem(bundle: Bundle): string {
  return bundle.x509Authorities.map((certificate) => certificate.toString()).join('')
}
