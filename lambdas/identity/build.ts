// Puts the authority together from its configuration: the real stores, the real clock, the guarded way out.
import { randomBytes } from 'node:crypto'
import type { Hono } from 'hono'
import { createIdentityApp } from './app.ts'
import type { IdentityEnv } from './app-env.ts'
import { createFileAuthority } from './authority/file.ts'
import type { IdentityConfig } from './config.ts'
import { createFileIssuanceStore } from './issuances/file.ts'
import type { AuthorityLog } from './log.ts'
import type { IdentityAppOptions } from './options.ts'
import { createGuardedFetch } from './proofs/guarded-fetch.ts'
import { createMemoryReplayStore } from './replay/memory.ts'

export interface BuildOptions {
  readonly config: IdentityConfig
  readonly log: AuthorityLog
  readonly clock?: () => Date
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
}

/** Everything the app needs; nothing is read or written yet. */
export function buildAppOptions(options: BuildOptions): IdentityAppOptions {
  const { config, log } = options
  const clock = options.clock ?? (() => new Date())
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  return {
    config,
    clock,
    random,
    log,
    authority: createFileAuthority({
      directory: 'directory' in config.authority ? config.authority.directory : '',
      trustDomain: config.trustDomain,
      clock,
      random,
      log,
    }),
    fetch: createGuardedFetch({ loopback: config.dev }),
    stsFetch: createGuardedFetch({ loopback: config.dev, anyAddress: true }),
    replay: createMemoryReplayStore({ clock }),
    issuances: createFileIssuanceStore('file' in config.issuances ? config.issuances.file : ''),
  }
}

/**
 * The app with its authority read, or made where there was none.
 * @throws AuthorityError
 */
export async function buildIdentityApp(options: BuildOptions): Promise<Hono<IdentityEnv>> {
  warn(options)
  const app = buildAppOptions(options)
  await app.authority.current()
  return createIdentityApp(app)
}
