// The keys that an issuer publishes (RFC 7517), reduced to those that can verify a signature. Members that point
// elsewhere (`x5u`, `x5c`) are dropped, so a key is its numbers and nothing else.
import { createPublicKey, type KeyObject } from 'node:crypto'
import * as z from '../schema-library.ts'
import { ProofError } from './proof.ts'
import type { Algorithm } from './token.ts'

export const MAX_KEYS = 100
/** RFC 7518 §3.3, §3.5. */
const MIN_MODULUS_BITS = 2048
/** The base64url length of an 8192-bit modulus: a larger one costs more to verify than any issuer needs. */
const MAX_MODULUS_CHARACTERS = 1366
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

const common = {
  kid: z.string().check(z.minLength(1), z.maxLength(256)),
  use: z.optional(z.string()),
  alg: z.optional(z.string()),
  key_ops: z.optional(z.array(z.string())),
}
const KEY = z.discriminatedUnion('kty', [
  z.object({
    ...common,
    kty: z.literal('RSA'),
    n: z.base64url().check(z.minLength(342), z.maxLength(MAX_MODULUS_CHARACTERS)),
    e: z.base64url().check(z.minLength(3), z.maxLength(6)),
  }),
  z.object({
    ...common,
    kty: z.literal('EC'),
    crv: z.enum(['P-256', 'P-384', 'P-521']),
    x: z.base64url(),
    y: z.base64url(),
  }),
])
export type PublishedKey = z.infer<typeof KEY>

const KEY_SET = z.looseObject({
  keys: z.array(z.record(z.string(), z.unknown())).check(z.maxLength(MAX_KEYS)),
})
const CURVES: Partial<Record<Algorithm, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

/** RFC 7517 §4.2; a key that does not say is for any use. */
export function isSignatureUse(use: string | undefined): boolean {
  return use === undefined || use === 'sig'
}

/** SPIFFE_Trust_Domain_and_Bundle.md §4.2.2: a key of any other use, or none, is to be ignored. */
export function isJwtSvidUse(use: string | undefined): boolean {
  return use === 'jwt-svid'
}

/**
 * The usable keys of a JWKS. Keys for other uses are left out; a published secret means that the issuer is broken, and
 * refuses the whole set.
 * @param mayVerify judges a key's `use`
 * @throws ZodError or Error where the document is no key set
 */
export function readKeySet(
  document: unknown,
  mayVerify: (use: string | undefined) => boolean = isSignatureUse,
): readonly PublishedKey[] {
  const { keys } = KEY_SET.parse(document)
  const usable: PublishedKey[] = []
  for (const key of keys) {
    if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(key, name))) {
      throw new Error('the key set publishes a secret or private key')
    }
    const parsed = KEY.safeParse(key)
    if (!parsed.success || !(parsed.data.key_ops?.includes('verify') ?? true)) continue
    if (mayVerify(parsed.data.use)) usable.push(parsed.data)
  }
  return usable
}

/** Keys that were imported before, by the object that was fetched: a new fetch makes new objects. */
const imported = new WeakMap<PublishedKey, { readonly algorithm: Algorithm; readonly key: KeyObject }>()

function fits(key: PublishedKey, algorithm: Algorithm): boolean {
  if (key.alg !== undefined && key.alg !== algorithm) return false
  return key.kty === 'EC' ? CURVES[algorithm] === key.crv : CURVES[algorithm] === undefined
}

function readKey(published: PublishedKey): KeyObject {
  const numbers =
    published.kty === 'RSA'
      ? { kty: published.kty, n: published.n, e: published.e }
      : { kty: published.kty, crv: published.crv, x: published.x, y: published.y }
  let key: KeyObject
  try {
    key = createPublicKey({ key: numbers, format: 'jwk' })
  } catch (error) {
    throw new ProofError('key-unfit', 'the published key cannot be read', { cause: error })
  }
  // Leading zeros make a short modulus look long.
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && bits < MIN_MODULUS_BITS)
    throw new ProofError('key-unfit', `the published key has ${bits} bits, under ${MIN_MODULUS_BITS}`)
  return key
}

/**
 * The one key that `kid` names, for this algorithm alone.
 * @throws ProofError `key-unfit` where no key of that name, or more than one, fits the algorithm
 */
export function importKey(keys: readonly PublishedKey[], algorithm: Algorithm): KeyObject {
  const fitting = keys.filter((key) => fits(key, algorithm))
  const [key] = fitting
  if (key === undefined || fitting.length > 1) {
    throw new ProofError('key-unfit', `${fitting.length} keys of that kid fit the algorithm, not one`)
  }
  const known = imported.get(key)
  if (known?.algorithm === algorithm) return known.key
  const result = readKey(key)
  imported.set(key, { algorithm, key: result })
  return result
}
