// Judges what the authority answered: the chain leads to the roots it names, the key is ours, the SPIFFE ID is of the
// trust domain that was asked for. Only then is anything of it used.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import * as z from 'zod'
import { type Bundle, readBundle, writePem } from '../../spiffe/bundle.ts'
import { verifyX509Svid } from '../../spiffe/x509-svid.ts'
import { IdentityFetchError, type IdentityFetchErrorCode } from './errors.ts'
import type { AuthorityAnswer } from './request.ts'

export interface AnswerFacts {
  readonly spiffeId: string
  /** The leaf and the CAs above it, without the root. */
  readonly certificatePem: string
  /** The SPIFFE bundle as served (JWKS), and its roots as PEM. */
  readonly bundleJson: string
  readonly bundlePem: string
  readonly bundleSequence: number | null
  readonly serialNumber: string
  /** ISO 8601, as all times here. */
  readonly expiresAt: string
  readonly renewAfter: string
  readonly registration: string
}

const ISSUED = z.object({
  spiffeId: z.string(),
  certificateChain: z.string(),
  bundle: z.string(),
  serialNumber: z.string().regex(/^(?:[0-9a-f]{2}){1,20}$/),
  expiresAt: z.iso.datetime(),
  renewAfter: z.iso.datetime(),
  registration: z.string(),
})

const PROBLEM = z.object({
  title: z.string().max(500),
  code: z.string().max(100),
  detail: z.string().max(1000).optional(),
  registrations: z.array(z.string().max(100)).max(100).optional(),
})

/** Text of the authority's as it may stand on a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}

/** `credentials-expiring` is a 401 too, and says that what is behind the proof must be renewed, not the proof. */
function codeOf(status: number, code: string | null): IdentityFetchErrorCode {
  if (status >= 500) return 'authority-failed'
  if (code === null) return 'answer-malformed'
  if (status === 403) return 'registration-refused'
  return status === 401 && code !== 'credentials-expiring' ? 'proof-refused' : 'authority-refused'
}

/** The error for an answer that is not the expected one. */
export function readProblem(answer: AuthorityAnswer): IdentityFetchError {
  let json: unknown = null
  try {
    json = JSON.parse(answer.body)
  } catch {
    // Not JSON: then the status says all there is.
  }
  const parsed = PROBLEM.safeParse(json)
  if (!parsed.success) {
    return new IdentityFetchError(
      codeOf(answer.status, null),
      `the authority answered ${answer.status} without a problem document`,
    )
  }
  const { title, code, detail, registrations } = parsed.data
  const more = [detail, registrations?.join(', ')].filter((part) => part !== undefined).join(': ')
  const text = `${code} (${answer.status}): ${title}${more === '' ? '' : ` ${more}`}`
  return new IdentityFetchError(codeOf(answer.status, code), printable(text))
}

function untrusted(message: string, cause?: unknown): IdentityFetchError {
  return new IdentityFetchError('answer-untrusted', `the authority's answer is refused: ${message}`, {
    cause,
  })
}

function readChain(pem: string): readonly [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const [leaf, ...rest] = blocks.map((block) => new X509Certificate(block))
  if (leaf === undefined) throw new Error('there is no certificate in it')
  return [leaf, ...rest]
}

export interface AnswerInput {
  /** The body of the issuance, and of the bundle that was fetched after it. */
  readonly issued: string
  readonly bundle: string
  /** PKCS #8 PEM of the key that was made. */
  readonly key: string
  readonly trustDomain: string
  readonly now: Date
}

function parseIssued(text: string): z.infer<typeof ISSUED> {
  try {
    return ISSUED.parse(JSON.parse(text))
  } catch (error) {
    throw new IdentityFetchError('answer-malformed', "the authority's answer cannot be read", {
      cause: error,
    })
  }
}

function verifyChain(input: AnswerInput, chainPem: string, bundles: readonly Bundle[]) {
  const [leaf, ...intermediates] = readChain(chainPem)
  if (!leaf.checkPrivateKey(createPrivateKey(input.key)))
    throw new Error('the certificate is for another key')
  let id = ''
  for (const bundle of bundles) {
    const find = (name: string) => (name === input.trustDomain ? bundle : undefined)
    for (const purpose of ['client', 'server'] as const) {
      id = verifyX509Svid({ leaf, intermediates, bundle: find, now: input.now, purpose }).id.uri
    }
  }
  return { leaf, id }
}

/** Half of what is left, where the authority names a moment that makes no sense. */
function chooseRenewal(named: Date, now: Date, end: Date): Date {
  if (named > now && named < end) return named
  return new Date(now.getTime() + (end.getTime() - now.getTime()) / 2)
}

/**
 * The facts of an answer that holds.
 * @throws IdentityFetchError `answer-malformed`, `answer-untrusted`
 */
export function readAnswer(input: AnswerInput): AnswerFacts {
  const issued = parseIssued(input.issued)
  try {
    const bundle = readBundle(input.bundle, input.trustDomain)
    // Both: the roots that came with the certificate, and those that will be kept.
    const returned = readBundle(issued.bundle, input.trustDomain)
    const { leaf, id } = verifyChain(input, issued.certificateChain, [returned, bundle])
    if (id !== issued.spiffeId) throw new Error('the certificate has another SPIFFE ID than the answer')
    return {
      spiffeId: id,
      certificatePem: issued.certificateChain,
      bundleJson: input.bundle,
      bundlePem: writePem(bundle),
      bundleSequence: bundle.sequence,
      serialNumber: issued.serialNumber,
      expiresAt: leaf.validToDate.toISOString(),
      renewAfter: chooseRenewal(new Date(issued.renewAfter), input.now, leaf.validToDate).toISOString(),
      registration: issued.registration,
    }
  } catch (error) {
    throw untrusted(error instanceof Error ? error.message : String(error), error)
  }
}
