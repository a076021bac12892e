// A whole authority in memory for tests: real CA, real app, a fake issuer, a clock that stands still until it is moved,
// and stores that can be told to fail.
import { randomBytes, webcrypto } from 'node:crypto'
import type { Hono } from 'hono/tiny'
import { createIdentityApp } from '../../../../lambdas/identity/app.ts'
import type { IdentityEnv } from '../../../../lambdas/identity/app-env.ts'
import { type CaTools, giveBirth } from '../../../../lambdas/identity/authority/advance.ts'
import { type CaSigner, generateCaKey, keyIdOf } from '../../../../lambdas/identity/authority/ca-key.ts'
import { createCaTools, type RootKeys } from '../../../../lambdas/identity/authority/root-keys.ts'
import type { AuthorityDocument } from '../../../../lambdas/identity/authority/document.ts'
import {
  type Authority,
  type AuthorityState,
  buildAuthorityState,
} from '../../../../lambdas/identity/authority/state.ts'
import type { AwsProofs } from '../../../../lambdas/identity/config.ts'
import type { Issuance } from '../../../../lambdas/identity/issuances/store.ts'
import { createMemoryRateCounter } from '../../../../lambdas/identity/limits/counter.ts'
import { createSourceLimiter } from '../../../../lambdas/identity/limits/source-bucket.ts'
import type { LogRecord } from '../../../../lambdas/identity/log.ts'
import type { IdentityAppOptions } from '../../../../lambdas/identity/options.ts'
import type { OidcProvider } from '../../../../lambdas/identity/proofs/proof.ts'
import { createGuardedFetch, type Fetch } from '../../../../lambdas/identity/proofs/guarded-fetch.ts'
import type { AwsMatch } from '../../../../lambdas/identity/registrations/match.ts'
import type { Registration } from '../../../../lambdas/identity/registrations/registration.ts'
import { parseTemplate } from '../../../../lambdas/identity/registrations/template.ts'
import { createMemoryReplayStore } from '../../../../lambdas/identity/replay/memory.ts'
import * as x509 from '../../../../common/x509-library.ts'
import { createFakeIssuer, type FakeIssuer, fetchOf, goodClaims } from '../../../fakes/oidc-issuer.ts'

export const TRUST_DOMAIN = 'example.org'
export const AUDIENCE = 'https://identity.example.org'
export const ISSUER = 'https://issuer.example'

export interface TestClock {
  readonly now: () => Date
  advance(ms: number): void
}

export function createClock(start = new Date('2026-11-24T12:00:00.000Z')): TestClock {
  let time = start.getTime()
  return {
    now: () => new Date(time),
    advance: (ms) => {
      time += ms
    },
  }
}

export const random = (bytes: number): Uint8Array => randomBytes(bytes)

/** Root keys in memory. */
export function createMemoryRootKeys(): RootKeys {
  const keys = new Map<string, CaSigner>()
  return {
    owns: (reference) => keys.has(reference),
    hasSpare: () => true,
    async create() {
      const { signer } = await generateCaKey()
      const reference = `file:root-${keyIdOf(signer.spki)}.key`
      keys.set(reference, signer)
      return { reference, signer }
    },
    async open(reference) {
      const signer = keys.get(reference)
      if (signer === undefined) throw new Error(`there is no ${reference}`)
      return signer
    },
  }
}

export function createTools(rootKeys = createMemoryRootKeys(), trustDomain = TRUST_DOMAIN): CaTools {
  return createCaTools({ trustDomain, random, rootKeys })
}

/** A CA document as birth makes it. */
export function createDocument(now: Date, trustDomain = TRUST_DOMAIN): Promise<AuthorityDocument> {
  return giveBirth(createTools(createMemoryRootKeys(), trustDomain), now)
}

export async function createState(now: Date): Promise<AuthorityState> {
  return buildAuthorityState(await createDocument(now), TRUST_DOMAIN)
}

export type CsrKey =
  | 'P-256'
  | 'P-384'
  | 'P-521'
  | 'Ed25519'
  | 'RSA-1024'
  | 'RSA-2048'
  | 'RSA-4096'
  | 'RSA-4098'

function keyAlgorithm(kind: CsrKey) {
  if (kind === 'Ed25519') return { name: 'Ed25519' }
  if (kind.startsWith('P-')) return { name: 'ECDSA', namedCurve: kind, hash: 'SHA-256' }
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: Number(kind.slice(4)),
    publicExponent: new Uint8Array([1, 0, 1]),
  }
}

export async function createKeys(kind: CsrKey): Promise<CryptoKeyPair> {
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm(kind), true, ['sign', 'verify'])
  return keys as CryptoKeyPair
}

export interface CsrOptions {
  readonly keys?: CryptoKeyPair
  readonly kind?: CsrKey
  readonly name?: string
  readonly extensions?: readonly x509.Extension[]
}

/** PEM. */
export async function createCsr(options: CsrOptions = {}): Promise<string> {
  const kind = options.kind ?? 'P-256'
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    ...(options.name === undefined ? {} : { name: options.name }),
    keys: options.keys ?? (await createKeys(kind)),
    signingAlgorithm: keyAlgorithm(kind),
    extensions: [...(options.extensions ?? [])],
  })
  return request.toString('pem')
}

export function provider(more: Partial<OidcProvider> = {}): OidcProvider {
  return {
    kind: 'oidc',
    name: 'main',
    issuer: ISSUER,
    audience: null,
    jwksUri: null,
    keysFile: null,
    maxTokenAgeMs: null,
    reuse: 'sameKey',
    account: null,
    ...more,
  }
}

export interface RegistrationInput {
  readonly name?: string
  readonly spiffeId?: string
  readonly reserved?: boolean
  readonly oidc?: string
  readonly claims?: Readonly<Record<string, string | boolean>>
  readonly aws?: AwsMatch
  readonly keyBound?: boolean
  readonly audiences?: readonly string[]
  readonly jwtTtlSeconds?: number
  readonly perMinute?: number
  readonly ttlSeconds?: number
  readonly dnsNames?: readonly string[]
}

export function registration(input: RegistrationInput = {}): Registration {
  return {
    name: input.name ?? 'workload',
    spiffeId: parseTemplate(input.spiffeId ?? `spiffe://${TRUST_DOMAIN}/workload`),
    reserved: input.reserved ?? false,
    match: {
      oidc:
        input.aws === undefined
          ? { provider: input.oidc ?? 'main', claims: input.claims ?? { sub: 'workload' } }
          : null,
      aws: input.aws ?? null,
      keyBound: input.keyBound ?? false,
    },
    x509: { ttlSeconds: input.ttlSeconds ?? 3600, dnsNames: input.dnsNames ?? [] },
    jwt: { audiences: input.audiences ?? [], ttlSeconds: input.jwtTtlSeconds ?? 300 },
    perMinute: input.perMinute ?? 600,
  }
}

export interface TestAuthority {
  readonly app: Hono<IdentityEnv>
  readonly issuer: FakeIssuer
  readonly clock: TestClock
  readonly state: AuthorityState
  readonly log: LogRecord[]
  readonly issuances: Issuance[]
  /** While set, the issuance record cannot be written. */
  failIssuances: boolean
  /** A token that is good but for these claims; `undefined` removes one. */
  token(claims?: Readonly<Record<string, unknown>>): Promise<string>
  /** Asks for an SVID. */
  post(body: unknown, token: string | null, headers?: Readonly<Record<string, string>>): Promise<Response>
}

export interface TestAuthorityOptions {
  readonly aws?: AwsProofs
  readonly providers?: readonly OidcProvider[]
  readonly fetch?: Fetch
  readonly provider?: Partial<OidcProvider>
  readonly registrations?: readonly Registration[]
  readonly app?: Partial<IdentityAppOptions>
}

export async function createTestAuthority(options: TestAuthorityOptions = {}): Promise<TestAuthority> {
  const clock = createClock()
  const issuer = await createFakeIssuer(ISSUER)
  const state = await createState(clock.now())
  const authority: Authority = { current: async () => state, readAt: clock.now }
  const log: LogRecord[] = []
  const issuances: Issuance[] = []
  const app = createIdentityApp({
    config: {
      trustDomain: TRUST_DOMAIN,
      issuer: AUDIENCE,
      audience: AUDIENCE,
      aws: options.aws ?? null,
      providers: options.providers ?? [provider(options.provider)],
      registrations: options.registrations ?? [registration()],
    },
    authority,
    clock: clock.now,
    random,
    fetch: options.fetch ?? fetchOf(issuer),
    stsFetch: createGuardedFetch({ loopback: true, anyAddress: true }),
    replay: createMemoryReplayStore({ clock: clock.now }),
    rates: createMemoryRateCounter({ clock: clock.now }),
    sources: createSourceLimiter({ perMinute: 1000, clock: clock.now }),
    issuances: {
      put: async (issuance) => {
        if (test.failIssuances) throw new Error('no space left on device')
        issuances.push(issuance)
      },
    },
    log: (record) => log.push(record),
    ...options.app,
  })
  const test: TestAuthority = {
    app,
    issuer,
    clock,
    state,
    log,
    issuances,
    failIssuances: false,
    token: (claims = {}) => {
      const merged = Object.entries({ ...goodClaims(ISSUER, AUDIENCE, clock.now()), ...claims })
      return issuer.sign(Object.fromEntries(merged.filter(([, value]) => value !== undefined)))
    },
    post: async (body, token, headers = {}) =>
      app.request('/v1/svid/x509', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
  }
  return test
}
