// GET /healthz: ready means able to sign. A throw-away leaf is signed and verified, at most every 30 s however often
// somebody asks, and its bytes go nowhere.
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import type { Context } from 'hono'
import { parseSpiffeId } from '../../../spiffe/id.ts'
import type { IdentityEnv } from '../app-env.ts'
import { messageOf } from '../log.ts'
import { MIN_TTL_SECONDS } from '../mint/lifetime.ts'
import { mintX509 } from '../mint/x509.ts'
import type { IdentityAppOptions } from '../options.ts'
import { ProblemError } from '../problem.ts'

export const CHECK_INTERVAL_MS = 30_000

async function signThrowAway(options: IdentityAppOptions): Promise<void> {
  const { publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  await mintX509({
    state: await options.authority.current(),
    spiffeId: parseSpiffeId(`spiffe://${options.config.trustDomain}/sallyport/health-check`),
    dnsNames: [],
    spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
    now: options.clock(),
    ttlSeconds: MIN_TTL_SECONDS,
    requestedSeconds: null,
    proofEnds: null,
    random: options.random,
  })
}

interface Check {
  readonly at: number
  readonly healthy: Promise<boolean>
}

export function createHealthRoute(options: IdentityAppOptions) {
  let last: Check | null = null

  async function check(): Promise<boolean> {
    try {
      await signThrowAway(options)
      return true
    } catch (error) {
      options.log({ event: 'health.failed', level: 'error', reason: messageOf(error) })
      return false
    }
  }

  return async function getHealth(context: Context<IdentityEnv>): Promise<Response> {
    const now = options.clock().getTime()
    // The promise is kept, not its value, so that many who ask at once share one check.
    if (last === null || now - last.at >= CHECK_INTERVAL_MS || now < last.at)
      last = { at: now, healthy: check() }
    if (!(await last.healthy)) throw new ProblemError('authority-unavailable')
    return context.json({ status: 'ok' }, 200, { 'cache-control': 'no-store' })
  }
}
