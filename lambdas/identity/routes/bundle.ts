// The trust bundle of the authority's own trust domain, for whoever asks: it holds public certificates alone. It is
// given out only while the document behind it is fresh: a verifier takes what it gets for what is published now, and
// waits for no more than a few refresh hints before it takes a key for unknown.
import type { Context } from 'hono'
import type { IdentityEnv } from '../app-env.ts'
import { isFresh } from '../authority/publication.ts'
import type { AuthorityState } from '../authority/state.ts'
import type { IdentityAppOptions } from '../options.ts'
import { ProblemError, problemResponse, toProblem } from '../problem.ts'

type Options = Pick<IdentityAppOptions, 'authority' | 'clock'>

/** Seconds: the document is tried again more often than that. */
const RETRY_AFTER = 30

/**
 * The answer with what a document publishes. Caches may keep it for a fifth of the refresh hint: they then never hold
 * back a new key for long. `Age` (RFC 9111 §5.1) counts from when the document was read.
 */
export async function publish(
  context: Context<IdentityEnv>,
  { authority, clock }: Options,
  contentType: string,
  textOf: (state: AuthorityState) => string,
): Promise<Response> {
  const state = await authority.current()
  const [now, readAt, hint] = [clock(), authority.readAt(), state.bundle.refreshHintSeconds ?? 0]
  if (!isFresh(readAt, hint, now)) {
    // Signing goes on: what is signed by an old document verifies by its successors.
    const response = problemResponse(toProblem(new ProblemError('authority-unavailable')))
    response.headers.set('retry-after', String(RETRY_AFTER))
    return response
  }
  return context.body(textOf(state), 200, {
    'content-type': contentType,
    'cache-control': `max-age=${Math.floor(hint / 5)}`,
    age: String(Math.floor((now.getTime() - readAt.getTime()) / 1000)),
  })
}

/** GET /v1/bundle: the SPIFFE bundle (JWKS). */
export function createBundleRoute(options: Options) {
  return function getBundle(context: Context<IdentityEnv>): Promise<Response> {
    return publish(context, options, 'application/json', ({ bundleText }) => bundleText)
  }
}

/** GET /v1/bundle.pem: the X.509 roots (the type is that of RFC 8555 §9.1). */
export function createBundlePemRoute(options: Options) {
  return function getBundlePem(context: Context<IdentityEnv>): Promise<Response> {
    return publish(context, options, 'application/pem-certificate-chain', ({ bundlePem }) => bundlePem)
  }
}
