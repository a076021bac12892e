// What the parts that build a configuration share: the files, the clock, and where to say what is wrong.
import type { KeyPath } from '../../common/schema-faults.ts'
import { decodeText, type ReferencedFiles } from './files.ts'
import { type CheckedKeyPair, checkKeyPair } from './key-pair.ts'
import { PemError, readCertificates } from './pem.ts'
import type { Report } from './rules.ts'
import { type Reference, SecretReference } from './secret-reference.ts'
import type { ReferencedSecrets } from './secrets.ts'
import type { IssuedIdentity } from './types.ts'
import type { X509Certificate } from 'node:crypto'

/** What reading referenced files takes. */
export interface FileContext {
  readonly files: ReferencedFiles
  readonly secrets: ReferencedSecrets
  readonly now: Date
  readonly report: Report
  /** Nothing is refused for it. */
  readonly warn: Report
}

export interface BuildContext extends FileContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the authority has issued last; null = nothing yet. */
  readonly issued: () => IssuedIdentity | null
  /** A variable of the environment that won over the file. */
  readonly overridden: (name: string) => void
}

/** The text of what is referred to; null after a fault at `key`, and where it is a secret and none is read. */
export async function readText(
  reference: Reference,
  key: KeyPath,
  context: FileContext,
): Promise<string | null> {
  if (reference instanceof SecretReference) {
    return (await context.secrets.text(reference, key))?.reveal() ?? null
  }
  const content = await context.files.read(reference, key)
  if (content === null) return null
  const text = decodeText(content.bytes)
  if (text === null) context.report(key, `${reference}: not text in UTF-8`, 'convert it to PEM')
  return text
}

/** `at` is the mapping that holds `certificate` and `key`. */
export async function readKeyPair(
  from: { readonly certificate: Reference; readonly key: Reference },
  at: KeyPath,
  context: FileContext,
): Promise<CheckedKeyPair> {
  const certificate = await readText(from.certificate, [...at, 'certificate'], context)
  const key = await readText(from.key, [...at, 'key'], context)
  if (key !== null && typeof from.key === 'string') await warnOfReaders(from.key, [...at, 'key'], context)
  const checked = checkKeyPair(certificate, key, context.now)
  for (const { of, message, remedy } of checked.problems) {
    context.report([...at, of], `${String(from[of])}: ${message}`, remedyFor(from[of], remedy))
  }
  return checked
}

/** What is said of files says nothing to who looks at a secret. */
function remedyFor(reference: Reference, remedy: string | null): string | null {
  const ofFiles = typeof reference !== 'string' && remedy !== null && /\bfiles?\b/.test(remedy)
  return ofFiles ? 'look at the secret, and at the field that is named' : remedy
}

/** The group may read it, which is how containers are given secrets; a key that everybody may read is worth a word. */
const OTHERS = 0o007

/**
 * A warning and not a fault: Kubernetes and Compose mount secrets readable for all inside a container of one user, and
 * a gateway that would not start there would teach people to copy keys about.
 */
async function warnOfReaders(reference: string, key: KeyPath, { files, warn }: FileContext): Promise<void> {
  const content = await files.read(reference, key)
  if (content?.mode === null || content === null || (content.mode & OTHERS) === 0) return
  warn(key, `${reference}: every user of this machine may read this private key`, `chmod 600 ${reference}`)
}

/** As readRootCertificates, as PEM. */
export async function readRoots(
  reference: Reference,
  key: KeyPath,
  context: FileContext,
): Promise<readonly string[] | null> {
  return (await readRootCertificates(reference, key, context))?.map(String) ?? null
}

/** Trusted roots; null after a fault at `key`. One that has expired is a warning, unless all have. */
export async function readRootCertificates(
  reference: Reference,
  key: KeyPath,
  context: FileContext,
): Promise<readonly X509Certificate[] | null> {
  const text = await readText(reference, key, context)
  if (text === null) return null
  const place = String(reference)
  let roots: readonly X509Certificate[]
  try {
    roots = readCertificates(text)
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    context.report(key, `${place}: ${error.message}`, remedyFor(reference, error.hint))
    return null
  }
  const expired = roots.filter(({ validToDate }) => validToDate < context.now)
  if (expired.length === roots.length) {
    context.report(key, `${place}: every certificate in it has expired`, 'ask the partner for the new roots')
    return null
  }
  for (const { validToDate } of expired) {
    context.warn(key, `${place}: a certificate in it expired at ${validToDate.toISOString()}`, 'remove it')
  }
  return roots
}
