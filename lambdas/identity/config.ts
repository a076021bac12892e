// identity.yaml as one immutable value. Whatever is wrong with it is found here, all at once, each with its line.
import path from 'node:path'
import { ConfigurationError, type Fault } from '../../common/fault.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { checkDocument } from './config-checks.ts'
import { applyOverrides } from './config-overrides.ts'
import { IDENTITY_SCHEMA, type IdentityDocument } from './config-schema.ts'
import type { IdentityEnvironment } from './environment.ts'
import type { OidcProvider } from './proofs/proof.ts'
import type { Registration } from './registrations/registration.ts'
import { parseTemplate } from './registrations/template.ts'

export interface IdentityConfig {
  readonly trustDomain: string
  /** The authority's own URL. */
  readonly issuer: string
  /** What proofs must be made for. */
  readonly audience: string
  /** Absolute paths; null = plain http, on loopback or in development alone. */
  readonly tls: { readonly certificate: string; readonly key: string } | null
  /** Absolute. */
  readonly authorityDirectory: string
  readonly providers: readonly OidcProvider[]
  readonly registrations: readonly Registration[]
  /** Absolute. */
  readonly issuancesFile: string
  /** `SALLYPORT_DEV=1`. */
  readonly dev: boolean
  /** The environment variables that won over the file. */
  readonly overridden: readonly string[]
}

export interface IdentityConfigInput {
  /** As the operator named it; relative references in the file are relative to its directory. */
  readonly file: string
  readonly text: string
  readonly environment: IdentityEnvironment
}

function toProvider(provider: IdentityDocument['proofs']['oidc'][number]): OidcProvider {
  return {
    name: provider.name,
    issuer: provider.issuer,
    jwksUri: provider.jwksUri ?? null,
    maxTokenAgeMs: provider.maxTokenAge ?? null,
    reuse: provider.reuse,
  }
}

function toRegistration(registration: IdentityDocument['registrations'][number]): Registration {
  return {
    name: registration.name,
    spiffeId: parseTemplate(registration.spiffeId),
    reserved: registration.reserved,
    match: { oidc: registration.match.oidc ?? '', claims: registration.match.claims ?? {} },
    x509: {
      ttlSeconds: Math.floor(registration.x509.ttl / 1000),
      dnsNames: registration.x509.dnsNames,
    },
  }
}

function toConfig(
  document: IdentityDocument,
  input: IdentityConfigInput,
): Omit<IdentityConfig, 'overridden'> {
  const base = path.dirname(path.resolve(input.file))
  const absolute = (file: string): string => path.resolve(base, file)
  return {
    trustDomain: parseTrustDomain(document.trustDomain),
    issuer: document.issuer,
    audience: document.audience ?? document.issuer,
    tls:
      document.tls === undefined
        ? null
        : { certificate: absolute(document.tls.certificate), key: absolute(document.tls.key) },
    authorityDirectory: absolute(document.authority.files.directory),
    providers: document.proofs.oidc.map(toProvider),
    registrations: document.registrations.map(toRegistration),
    issuancesFile: absolute(document.issuances.store),
    dev: input.environment.dev,
  }
}

export type IdentityConfigResult =
  | { readonly ok: true; readonly value: IdentityConfig }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Reads identity.yaml; touches no file that it names. */
export function readIdentityConfig(input: IdentityConfigInput): IdentityConfigResult {
  const loaded = loadYamlFile({ file: input.file, text: input.text }, IDENTITY_SCHEMA)
  if (!loaded.ok) return { ok: false, faults: loaded.faults }
  const { document, overridden, faults } = applyOverrides(loaded.value, input.environment)
  const all = [...faults, ...checkDocument(document, { ...input, lineOf: loaded.lineOf })]
  if (all.length > 0) return { ok: false, faults: all }
  return { ok: true, value: { ...toConfig(document, input), overridden } }
}

/** As readIdentityConfig. @throws ConfigurationError with all faults */
export function loadIdentityConfig(input: IdentityConfigInput): IdentityConfig {
  const result = readIdentityConfig(input)
  if (!result.ok) throw new ConfigurationError(result.faults)
  return result.value
}
