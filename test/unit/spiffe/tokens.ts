// JWT-SVIDs of every form, signed by keys of ours: nothing here checks anything.
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CompactSign } from 'jose'
import { type Bundle, readBundle } from '../../../spiffe/bundle.ts'
import type { VerifyJwtSvidOptions } from '../../../spiffe/jwt-svid.ts'
import { TRUST_DOMAIN, WORKLOAD } from './certificates.ts'

export const AUDIENCE = 'spiffe://example.org/gateway'
export const NOW = new Date('2026-11-20T12:00:00Z')
export const SECONDS = NOW.getTime() / 1000

export interface Keys {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const curve = (namedCurve: string): Keys => generateKeyPairSync('ec', { namedCurve })
export const p256 = curve('P-256')
export const p384 = curve('P-384')
export const p521 = curve('P-521')
export const rsa: Keys = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** One entry of a bundle; `more` replaces or, where undefined, removes members. */
export function entry(kid: string, { publicKey }: Keys, more: object = {}): object {
  return { ...publicKey.export({ format: 'jwk' }), use: 'jwt-svid', kid, ...more }
}

export function bundleOf(trustDomain: string, ...keys: readonly object[]): Bundle {
  return readBundle(JSON.stringify({ keys }), trustDomain)
}

/** One key for each kind, named by it. */
export const ALL_KEYS = bundleOf(
  TRUST_DOMAIN,
  entry('p256', p256),
  entry('p384', p384),
  entry('p521', p521),
  entry('rsa', rsa),
)

export function options(...bundles: readonly Bundle[]): VerifyJwtSvidOptions {
  const known = bundles.length === 0 ? [ALL_KEYS] : bundles
  return {
    audience: AUDIENCE,
    bundle: (trustDomain) => known.find((one) => one.trustDomain === trustDomain),
    now: NOW,
  }
}

export const CLAIMS = { sub: WORKLOAD, aud: AUDIENCE, exp: SECONDS + 300, iat: SECONDS, jti: 'token-1' }

type Json = Readonly<Record<string, unknown>>

/** A token by p256 (or `keys`); a text stands for claims as they are. */
export async function sign(claims: Json | string = CLAIMS, header: Json = {}, keys = p256): Promise<string> {
  const text = typeof claims === 'string' ? claims : JSON.stringify(claims)
  return new CompactSign(Buffer.from(text))
    .setProtectedHeader({ alg: 'ES256', kid: 'p256', typ: 'JWT', ...header })
    .sign(keys.privateKey)
}

const b64 = (text: string) => Buffer.from(text).toString('base64url')

/** A token that nobody signed, or that a shared secret did: no library makes it. */
export function forge(header: Json | string, claims: Json = CLAIMS, secret?: string | Buffer): string {
  const head = typeof header === 'string' ? header : JSON.stringify(header)
  const signed = `${b64(head)}.${b64(JSON.stringify(claims))}`
  const signature =
    secret === undefined
      ? b64('x'.repeat(64))
      : createHmac('sha256', secret).update(signed).digest('base64url')
  return `${signed}.${signature}`
}
