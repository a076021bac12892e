// The one document that is the state of the CA: what signs and what is published come from the same read of it.
import * as z from '../schema-library.ts'
import { SallyportError } from '../../../common/errors.ts'
import { messageOf } from '../log.ts'
import { parseStrictJson } from '../strict-json.ts'
import { MAX_REFRESH_HINT, MIN_REFRESH_HINT } from './publication.ts'

/** A secret in Secrets Manager holds 64 KiB; the rest is room for one rotation. */
export const MAX_DOCUMENT_BYTES = 48 * 1024

export type AuthorityErrorCode =
  | 'authority-unreadable'
  | 'authority-permissions'
  | 'authority-malformed'
  | 'authority-inconsistent'
  | 'authority-other-trust-domain'
  | 'authority-went-back'
  | 'authority-expired'
  | 'authority-unwritable'
  | 'authority-unborn'
  | 'authority-busy'
  | 'authority-too-late'
  | 'authority-owner'
  | 'authority-root-key'

export class AuthorityError extends SallyportError<AuthorityErrorCode> {}

/** What a secret holds before its CA exists. Only this, to the letter, may be replaced by a new CA. */
export const UNBORN = '{"state":"unborn"}'

/** Of roots and of JWT keys each: more would mean that something publishes without end. */
export const MAX_KEYS = 8

/** Where a root's key is: a file beside the document, a key in KMS, or a key of that id in another secret. */
const ROOT_KEY = /^(?:file:root-[0-9a-f]{16}\.key|kms:arn:[!-~]+|secretsmanager:arn:[!-"$-~]+#[0-9a-f]{16})$/

/** What names a request for a rotation by hand: characters that a tag of AWS may have, without spaces. */
export const REQUEST_WORD = /^[A-Za-z0-9+=._:/@-]{1,64}$/

const date = z.iso.datetime()
/** Published from the first date, used from the second, gone after the third; null = has no successor yet. */
const dates = { publishedAt: date, activateAt: date, removeAfter: z.nullable(date) }
const DOCUMENT = z.strictObject({
  /** Grows with each change of the published bundle. */
  sequence: z.int().check(z.minimum(1)),
  /** Seconds. Below the minimum, five hints were too short for bundles and clocks that differ (publication.ts). */
  refreshHint: z.int().check(z.minimum(MIN_REFRESH_HINT), z.maximum(MAX_REFRESH_HINT)),
  roots: z
    .array(
      z.strictObject({
        certificate: z.string(),
        /** Where its key is, such as `file:root-….key`; never the key itself. */
        key: z.string().check(z.regex(ROOT_KEY)),
        ...dates,
      }),
    )
    .check(z.minLength(1), z.maxLength(MAX_KEYS)),
  issuing: z.strictObject({
    /** PEM: the issuing CA and what is between it and a root; the root is not in it. */
    chain: z.string(),
    /** PEM, PKCS #8. */
    key: z.string(),
    notAfter: date,
  }),
  /** None in a document from before there were any; the next advance publishes one. */
  jwtKeys: z
    .array(
      z.strictObject({
        kid: z.string().check(z.regex(/^[\w-]{1,128}$/)),
        alg: z.literal('ES256'),
        /** PEM, PKCS #8. */
        key: z.string(),
        ...dates,
      }),
    )
    .check(z.maxLength(MAX_KEYS)),
  /** The version of the secret that this document was computed from: it may replace that one alone. */
  basedOn: z.optional(z.nullable(z.string())),
  /** The word of the last rotation that was asked for by hand, so that asking once does it once. */
  lastRequest: z.optional(z.string().check(z.regex(REQUEST_WORD))),
})
export type AuthorityDocument = z.infer<typeof DOCUMENT>
export type RootEntry = AuthorityDocument['roots'][number]
export type JwtKeyEntry = AuthorityDocument['jwtKeys'][number]

function checkSize(text: string): string {
  if (Buffer.byteLength(text) <= MAX_DOCUMENT_BYTES) return text
  throw new AuthorityError('authority-malformed', 'the CA document is over 48 KiB')
}

/** @throws AuthorityError `authority-malformed`, `authority-unborn` */
export function parseAuthorityDocument(text: string): AuthorityDocument {
  if (text === UNBORN) throw new AuthorityError('authority-unborn', 'the CA does not exist yet: rotate once')
  checkSize(text)
  try {
    return DOCUMENT.parse(parseStrictJson(text))
  } catch (error) {
    // zod's issues name keys and never quote values, so no key material reaches the message.
    const where = error instanceof z.ZodError ? error.issues.map(({ path }) => path.join('.')).join(', ') : ''
    throw new AuthorityError(
      'authority-malformed',
      `the CA document cannot be read: ${where || messageOf(error)}`,
    )
  }
}

/** @throws AuthorityError `authority-malformed`: what nobody would read again is not written */
export function formatAuthorityDocument(document: AuthorityDocument): string {
  return checkSize(`${JSON.stringify(document, null, 2)}\n`)
}
