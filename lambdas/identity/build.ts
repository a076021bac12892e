// Puts the authority together from its configuration: the real stores, the real clock, the guarded way out. What stands
// on AWS comes in by a function, and a CA in files is loaded when it is asked for: each costs tens of milliseconds, and
// the authority on Lambda has always the one, `sallyport authority` mostly the other.
import { randomBytes } from 'node:crypto'
import type { Hono } from 'hono/tiny'
import { createIdentityApp } from './app.ts'
import type { IdentityEnv } from './app-env.ts'
import type { SecretsManagerAuthorityOptions } from './authority/secrets-manager.ts'
import type { Authority } from './authority/state.ts'
import type { IdentityConfig } from './config.ts'
import { createFileIssuanceStore } from './issuances/file.ts'
import type { IssuanceStore } from './issuances/store.ts'
import { createMemoryRateCounter } from './limits/counter.ts'
import { createSourceLimiter } from './limits/source-bucket.ts'
import type { AuthorityLog } from './log.ts'
import type { IdentityAppOptions } from './options.ts'
import { createGuardedFetch } from './proofs/guarded-fetch.ts'
import { createMemoryReplayStore } from './replay/memory.ts'

/** What stands on AWS services (build-aws.ts). */
export interface AwsParts {
  /** The authority of an issuing secret. */
  authority(options: Omit<SecretsManagerAuthorityOptions, 'client'>): Authority
  stores(options: { readonly clock: () => Date; readonly random: (bytes: number) => Uint8Array }): {
    /** Used proofs and counts, in one table. */
    replay(table: string): Pick<IdentityAppOptions, 'replay' | 'rates'>
    issuances(table: string): IssuanceStore
  }
}

export interface BuildOptions {
  readonly config: IdentityConfig
  /** Called where the configuration names a service of AWS. */
  readonly aws: () => Promise<AwsParts>
  readonly log: AuthorityLog
  readonly clock?: () => Date
}

interface Parts extends Pick<BuildOptions, 'aws'> {
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

async function buildAuthority({ config, aws, ...parts }: Parts): Promise<Authority> {
  const { authority, trustDomain } = config
  if ('directory' in authority) {
    const { createFileAuthority } = await import('./authority/file.ts')
    return createFileAuthority({ ...parts, trustDomain, directory: authority.directory })
  }
  return (await aws()).authority({ ...parts, trustDomain, secretId: authority.secret })
}

type Stores = Pick<IdentityAppOptions, 'replay' | 'rates' | 'issuances'>

async function buildStores({ config, clock, random, aws }: Parts): Promise<Stores> {
  const { replay, issuances } = config
  const dynamo =
    replay !== 'memory' || 'dynamodb' in issuances ? (await aws()).stores({ clock, random }) : null
  return {
    ...(replay === 'memory' || dynamo === null
      ? { replay: createMemoryReplayStore({ clock }), rates: createMemoryRateCounter({ clock }) }
      : dynamo.replay(replay.dynamodb)),
    issuances:
      'file' in issuances || dynamo === null
        ? createFileIssuanceStore('file' in issuances ? issuances.file : '')
        : dynamo.issuances(issuances.dynamodb),
  }
}

/** Everything the app needs; nothing is read or written yet. */
export async function buildAppOptions(options: BuildOptions): Promise<IdentityAppOptions> {
  const { config, log, aws } = options
  const clock = options.clock ?? (() => new Date())
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const parts: Parts = { config, log, clock, random, aws }
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

/**
 * The app at once, with its authority being read: the first request verifies its proof meanwhile, and waits where it
 * needs the authority.
 * @param onFailure told where the authority could not be read; requests try again
 */
export async function beginIdentityApp(
  options: BuildOptions,
  onFailure: (error: unknown) => void,
): Promise<Hono<IdentityEnv>> {
  warn(options)
  const app = await buildAppOptions(options)
  app.authority.current().catch(onFailure)
  return createIdentityApp(app)
}
