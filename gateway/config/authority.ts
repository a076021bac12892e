// `identity.authority` as the gateway goes by it: the settings as a value, and how the files that it names are read, anew
// for each request, since a token and a CA are replaced while the gateway runs. The environment wins (design §5.5).
import { tokenFileSource } from '../../common/authority/token-file.ts'
import type { TokenSource } from '../../common/authority/proof.ts'
import type { BuildContext } from './context.ts'
import { decodeText, FileError, type ReadFile } from './files.ts'
import { readRootCertificates } from './context.ts'
import { readUrl } from './schema-identity.ts'
import type { GatewayDocument } from './schema.ts'
import * as values from './values.ts'

export const AUTHORITY_URL = 'SALLYPORT_AUTHORITY_URL'
/** Where the authority is reached by another name than the one that proofs are made for, as a private one is. */
export const AUTHORITY_AUDIENCE = 'SALLYPORT_AUTHORITY_AUDIENCE'

export type AuthorityProof = 'aws-sigv4' | 'aws-web-identity' | { readonly tokenFile: string }

/** Nothing in it is secret, and two that are equal mean the same. */
export interface AuthoritySettings {
  readonly url: string
  /** Of the identity that is wanted. */
  readonly trustDomain: string
  readonly proof: AuthorityProof
  /** PEM; `system` is Node's own list. */
  readonly roots: 'system' | { readonly file: string }
  /** Null = the URL. */
  readonly audience: string | null
  readonly registration: string | null
  /** Null = as the registration has it. */
  readonly ttlSeconds: number | null
}

export interface AuthoritySource {
  readonly settings: AuthoritySettings
  /** PEM of the CAs of its TLS certificate; null = the system's. Rejects where the file cannot be read. */
  readonly readRoots: () => Promise<string | null>
  /** Null where the proof is no token. */
  readonly token: TokenSource | null
}

/** Null where the identity comes from files, and after a fault. */
export async function buildAuthority(
  { identity: { authority }, trustDomain }: GatewayDocument,
  readFile: ReadFile,
  context: BuildContext,
): Promise<AuthoritySource | null> {
  if (authority === undefined) {
    if (named(context) !== '') {
      const message = `${AUTHORITY_URL} is set and not used, since identity.files is`
      context.warn(['identity'], message, 'use identity.authority, or unset it')
    }
    return null
  }
  const url = chooseUrl(authority.url, context)
  const audience = chooseAudience(authority.audience, context)
  const { proof, roots } = authority
  if (roots !== 'system') await readRootCertificates(roots.file, [...AT, 'roots'], context)
  if (url === null) return null
  const nameOf = (reference: string) => context.files.nameOf(reference)
  const settings: AuthoritySettings = {
    ...{ url, trustDomain },
    proof: typeof proof === 'string' ? proof : { tokenFile: nameOf(proof.oidcTokenFile) },
    roots: roots === 'system' ? roots : { file: nameOf(roots.file) },
    audience,
    registration: authority.registration ?? null,
    ttlSeconds: authority.ttl === undefined ? null : Math.floor(authority.ttl / 1000),
  }
  return sourceOf(settings, readFile)
}

const AT = ['identity', 'authority'] as const

function sourceOf(settings: AuthoritySettings, readFile: ReadFile): AuthoritySource {
  const { proof, roots } = settings
  const read = (file: string) => readNamed(file, readFile)
  return {
    settings,
    readRoots: async () => (roots === 'system' ? null : read(roots.file)),
    token: typeof proof === 'string' ? null : tokenFileSource(proof.tokenFile, 'oidcTokenFile', read),
  }
}

async function readNamed(file: string, readFile: ReadFile): Promise<string> {
  const text = decodeText((await readFile(file)).bytes)
  if (text === null) throw new FileError('unreadable', 'not text in UTF-8')
  return text
}

function named({ environment }: BuildContext): string {
  return environment[AUTHORITY_URL] ?? ''
}

/** Null = the URL, and after a fault. */
function chooseAudience(audience: string | undefined, context: BuildContext): string | null {
  const text = context.environment[AUTHORITY_AUDIENCE] ?? ''
  if (text === '') return audience ?? null
  const read = values.audience.safeParse(text)
  if (read.success) {
    context.overridden(AUTHORITY_AUDIENCE)
    return read.data
  }
  const message = `${AUTHORITY_AUDIENCE}: ${read.error.issues[0]?.message}, found "${text.slice(0, 200)}"`
  context.report([], message, 'set it right or not at all')
  return null
}

function chooseUrl(url: string | undefined, context: BuildContext): string | null {
  const text = named(context)
  if (text === '') {
    if (url === undefined) {
      const remedy = `add it, or set ${AUTHORITY_URL}`
      context.report([...AT, 'url'], 'missing; expected the URL of the authority', remedy)
    }
    return url ?? null
  }
  const read = readUrl(text)
  if (typeof read === 'string') {
    context.overridden(AUTHORITY_URL)
    return read
  }
  // Not quoted: a URL may hold a password.
  context.report([], `${AUTHORITY_URL}: ${read.message}`, read.remedy ?? 'set it right or not at all')
  return null
}
