// The one document that is the state of the CA: what signs and what is published come from the same read of it.
import * as z from 'zod'
import { SallyportError } from '../../../common/errors.ts'
import { messageOf } from '../log.ts'
import { parseStrictJson } from '../strict-json.ts'

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

export class AuthorityError extends SallyportError<AuthorityErrorCode> {}

const date = z.iso.datetime()
const DOCUMENT = z.strictObject({
  /** Grows with each change of the published bundle. */
  sequence: z.int().min(1),
  /** Seconds. */
  refreshHint: z.int().min(10).max(86_400),
  roots: z
    .array(
      z.strictObject({
        certificate: z.string(),
        /** Where its key is, such as `file:root-….key`; never the key itself. */
        key: z.string(),
        publishedAt: date,
        activateAt: date,
        removeAfter: date.nullable(),
      }),
    )
    .min(1)
    .max(8),
  issuing: z.strictObject({
    /** PEM: the issuing CA and what is between it and a root; the root is not in it. */
    chain: z.string(),
    /** PEM, PKCS #8. */
    key: z.string(),
    notAfter: date,
  }),
  jwtKeys: z.array(z.never()).max(0),
})
export type AuthorityDocument = z.infer<typeof DOCUMENT>

/** @throws AuthorityError `authority-malformed` */
export function parseAuthorityDocument(text: string): AuthorityDocument {
  if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) {
    throw new AuthorityError('authority-malformed', 'the CA document is over 48 KiB')
  }
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

export function formatAuthorityDocument(document: AuthorityDocument): string {
  return `${JSON.stringify(document, null, 2)}\n`
}
