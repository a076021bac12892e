// The form of `identity` in gateway.yaml: what the gateway itself is, from files or from the authority.
import * as z from 'zod'
import { IdentityFetchError } from '../../common/authority/errors.ts'
import { readAuthorityUrl } from '../../common/authority/url.ts'
import * as values from './values.ts'

const URL_FORM = 'the URL of the authority, such as https://identity.example.org'

/** The URL as it stands, or what is wrong with it; where it comes from the environment too. */
export function readUrl(text: string): string | values.Wrong {
  try {
    readAuthorityUrl(text)
    return text
  } catch (error) {
    if (!(error instanceof IdentityFetchError)) throw error
    const plain = URL.canParse(text) && new URL(text).protocol === 'http:'
    return new values.Wrong(`expected ${URL_FORM}`, plain ? 'http is for loopback alone' : null)
  }
}

const ROOTS = 'system or file:<path>'
const roots = values.text(ROOTS, (value): 'system' | { readonly file: string } | values.Wrong => {
  if (value === 'system') return value
  const ok = value.startsWith('file:') && value.length > 5 && !value.includes('\0')
  return ok ? { file: value.slice(5) } : new values.Wrong(`expected ${ROOTS}`)
})

const PROOFS = 'expected aws-sigv4, aws-web-identity or {oidcTokenFile: <path>}'

const authority = z.strictObject({
  url: values.text(URL_FORM, readUrl).optional(),
  proof: z.union(
    [
      z.enum(['aws-sigv4', 'aws-web-identity'], PROOFS),
      z.strictObject({ oidcTokenFile: values.filePath }, PROOFS),
    ],
    PROOFS,
  ),
  roots: roots.prefault('system'),
  audience: values.audience.optional(),
  registration: values.name.optional(),
  ttl: values.duration('1m', '24h').optional(),
})

/** One of the two, and never both: which of them counts would be anybody's guess. */
export const identity = z
  .strictObject({
    files: z
      .strictObject({ certificate: values.filePath, key: values.filePath, bundle: values.filePath })
      .optional(),
    authority: authority.optional(),
  })
  .superRefine(({ files, authority }, context) => {
    if ((files === undefined) !== (authority === undefined)) return
    const message = files === undefined ? 'holds neither files nor authority' : 'holds files and authority'
    const remedy = files === undefined ? 'add one of them' : 'remove one of them'
    context.addIssue({ code: 'custom', message, params: { remedy } })
  })
