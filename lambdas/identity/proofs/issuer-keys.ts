// The keys of one issuer, kept between requests. Anybody can send a token with an unknown `kid`, and an issuer can be
// down, so a fetch happens at most once in the cool-down, whatever came of the last one, and never twice at a time.
import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import * as z from '../schema-library.ts'
import { type AuthorityLog, messageOf } from '../log.ts'
import { fetchJson } from './fetch-json.ts'
import type { Fetch } from './guarded-fetch.ts'
import { importKey, isJwtSvidUse, isSignatureUse, type PublishedKey, readKeySet } from './key-set.ts'
import { parseStrictJson } from '../strict-json.ts'
import { type OidcProvider, ProofError } from './proof.ts'
import type { Algorithm } from './token.ts'

export const COOL_DOWN_MS = 30_000
/** After this the keys are asked for again, so that a key the issuer withdrew stops working. */
const FRESH_MS = 10 * 60_000
/** How long known keys serve while the issuer does not answer. */
const STALE_MS = 24 * 3_600_000

export interface IssuerKeys {
  /** @throws ProofError `issuer-unavailable`, `key-unknown`, `key-unfit` */
  find(keyId: string, algorithm: Algorithm): Promise<KeyObject>
}

export interface IssuerKeysOptions {
  readonly provider: OidcProvider
  readonly fetch: Fetch
  readonly clock: () => Date
  readonly log: AuthorityLog
  readonly timeoutMs?: number
}

const DISCOVERY = z.looseObject({ issuer: z.string(), jwks_uri: z.string() })

/** OpenID Connect Discovery 1.0 §4: one terminating slash of the issuer is left out. */
function discoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
}

async function discover(options: IssuerKeysOptions): Promise<string> {
  const { provider, fetch, timeoutMs } = options
  if (provider.jwksUri !== null) return provider.jwksUri
  const document = DISCOVERY.parse(await fetchJson(discoveryUrl(provider.issuer), fetch, timeoutMs))
  if (document.issuer !== provider.issuer) throw new Error('the discovery document names another issuer')
  const uri = new URL(document.jwks_uri)
  // Keys elsewhere are right for some issuers (Google's), but who says so is the configuration, not the network.
  if (uri.origin !== new URL(provider.issuer).origin) {
    throw new Error(`jwks_uri is on another origin (${uri.origin}): name it as jwksUri where that is right`)
  }
  return uri.href
}

async function fetchKeys(options: IssuerKeysOptions): Promise<readonly PublishedKey[]> {
  const { provider, fetch, timeoutMs } = options
  const document =
    provider.keysFile === null
      ? await fetchJson(await discover(options), fetch, timeoutMs)
      : parseStrictJson(await readFile(provider.keysFile, 'utf8'))
  return readKeySet(document, provider.kind === 'spiffe' ? isJwtSvidUse : isSignatureUse)
}

class CachedIssuerKeys implements IssuerKeys {
  readonly #options: IssuerKeysOptions
  #keys: readonly PublishedKey[] | null = null
  #fetchedAt = 0
  #triedAt: number | null = null
  #pending: Promise<void> | null = null

  constructor(options: IssuerKeysOptions) {
    this.#options = options
  }

  async find(keyId: string, algorithm: Algorithm): Promise<KeyObject> {
    if (this.#age() > FRESH_MS) await this.#refresh()
    if (this.#named(keyId).length === 0) await this.#refresh()
    if (this.#keys === null || this.#age() > STALE_MS) {
      throw new ProofError('issuer-unavailable', `no keys of ${this.#options.provider.name} could be fetched`)
    }
    const named = this.#named(keyId)
    if (named.length === 0)
      throw new ProofError('key-unknown', 'the issuer publishes no usable key of that kid')
    return importKey(named, algorithm)
  }

  #named(keyId: string): readonly PublishedKey[] {
    return this.#keys?.filter((key) => key.kid === keyId) ?? []
  }

  #now(): number {
    return this.#options.clock().getTime()
  }

  #age(): number {
    return this.#keys === null ? Number.POSITIVE_INFINITY : this.#now() - this.#fetchedAt
  }

  #refresh(): Promise<void> {
    if (this.#pending !== null) return this.#pending
    const since = this.#triedAt === null ? COOL_DOWN_MS : this.#now() - this.#triedAt
    // A clock that was set back gives a negative time: then fetch, rather than wait for the clock to catch up.
    if (since >= 0 && since < COOL_DOWN_MS) return Promise.resolve()
    this.#pending = this.#fetch().finally(() => {
      this.#triedAt = this.#now()
      this.#pending = null
    })
    return this.#pending
  }

  async #fetch(): Promise<void> {
    const { provider, log } = this.#options
    try {
      this.#keys = await fetchKeys(this.#options)
      this.#fetchedAt = this.#now()
    } catch (error) {
      // The keys at hand stay: an issuer that is down for an hour must not stop every renewal.
      log({ event: 'issuer.keys-failed', level: 'warn', provider: provider.name, reason: messageOf(error) })
    }
  }
}

export function createIssuerKeys(options: IssuerKeysOptions): IssuerKeys {
  return new CachedIssuerKeys(options)
}
