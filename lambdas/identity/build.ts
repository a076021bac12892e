// Puts the authority together from its configuration: the real stores, the real clock, the guarded way out. AWS clients
// are loaded where the configuration names what they are for, since each costs tens of milliseconds of a cold start.
import { randomBytes } from 'node:crypto'
import type { Hono } from 'hono'
import { createIdentityApp } from './app.ts'
import type { IdentityEnv } from './app-env.ts'
import { createFileAuthority } from './authority/file.ts'
import type { Authority } from './authority/state.ts'
import type { IdentityConfig } from './config.ts'
import { createFileIssuanceStore } from './issuances/file.ts'
import { createMemoryRateCounter } from './limits/counter.ts'
import { createSourceLimiter } from './limits/source-bucket.ts'
import type { AuthorityLog } from './log.ts'
import type { IdentityAppOptions } from './options.ts'
import { createGuardedFetch } from './proofs/guarded-fetch.ts'
import { createMemoryReplayStore } from './replay/memory.ts'

export interface BuildOptions {
  readonly config: IdentityConfig
  readonly log: AuthorityLog
  readonly clock?: () => Date
}

interface Parts {
  readonly config: IdentityConfig
  readonly log: AuthorityLog
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
}

function warn({ config, log }: BuildOptions): void {
  if (config.dev) {
    log({
      event: 'dev-mode',
      level: 'warn',
      reason:
        'SALLYPORT_DEV=1: HTTP ISSUERS AND LOOPBACK ADDRESSES ARE TRUSTED. NEVER USE THIS IN PRODUCTION.',
    })
  }
  for (const name of config.overridden) {
    log({ event: 'config.overridden', level: 'info', variable: name })
  }
  for (const { file, line, key, message, remedy } of config.warnings) {
    log({ event: 'config.warning', level: 'warn', file, line, key, reason: message, remedy })
  }
}

async function buildAuthority({ config, ...parts }: Parts): Promise<Authority> {
  const { authority, trustDomain } = config
  if ('directory' in authority) {
    return createFileAuthority({ ...parts, trustDomain, directory: authority.directory })
  }
  const { buildSecretsManagerAuthority } = await import('./build-aws.ts')
  return buildSecretsManagerAuthority({ ...parts, trustDomain, secretId: authority.secret })
}

type Stores = Pick<IdentityAppOptions, 'replay' | 'rates' | 'issuances'>

async function buildStores({ config, clock, random }: Parts): Promise<Stores> {
  const { replay, issuances } = config
  const aws =
    replay !== 'memory' || 'dynamodb' in issuances
      ? (await import('./build-aws.ts')).buildDynamoStores({ clock, random })
      : null
  return {
    ...(replay === 'memory' || aws === null
      ? { replay: createMemoryReplayStore({ clock }), rates: createMemoryRateCounter({ clock }) }
      : aws.replay(replay.dynamodb)),
    issuances:
      'file' in issuances || aws === null
        ? createFileIssuanceStore('file' in issuances ? issuances.file : '')
        : aws.issuances(issuances.dynamodb),
  }
}

/** Everything the app needs; nothing is read or written yet. */
export async function buildAppOptions(options: BuildOptions): Promise<IdentityAppOptions> {
  const { config, log } = options
  const clock = options.clock ?? (() => new Date())
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const parts: Parts = { config, log, clock, random }
  return {
    ...parts,
    authority: await buildAuthority(parts),
    fetch: createGuardedFetch({ loopback: config.dev }),
    stsFetch: createGuardedFetch({ loopback: config.dev, anyAddress: true }),
    ...(await buildStores(parts)),
    sources: createSourceLimiter({ perMinute: config.perSourcePerMinute, clock }),
  }
}

/**
 * The app with its authority read, or made where there was none.
 * @throws AuthorityError
 */
export async function buildIdentityApp(options: BuildOptions): Promise<Hono<IdentityEnv>> {
  warn(options)
  const app = await buildAppOptions(options)
  await app.authority.current()
  return createIdentityApp(app)
}
