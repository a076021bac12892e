// identity.yaml as one immutable value. Whatever is wrong with it is found here, all at once, each with its line.
import path from 'node:path'
import { ConfigurationError, type Fault } from '../../common/fault.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { checkDocument } from './config-checks.ts'
import { lintDocument } from './config-lints.ts'
import { applyOverrides } from './config-overrides.ts'
import { IDENTITY_SCHEMA } from './config-schema.ts'
import { toConfig } from './config-values.ts'
import type { IdentityEnvironment } from './environment.ts'
import type { OidcProvider } from './proofs/proof.ts'
import type { Registration } from './registrations/registration.ts'

/** Which AWS proofs are accepted. */
export interface AwsProofs {
  /** The allow-list, for both proofs. */
  readonly accounts: ReadonlySet<string>
  readonly sigv4: {
    readonly regions: readonly string[]
    /** In development alone. */
    readonly stsEndpoint: string | null
  } | null
  /** The keys of `principal_tags` that registrations may use. */
  readonly principalTags: readonly string[]
}

/** Absolute paths; secrets and tables by name or ARN. */
export type StoreConfig = { readonly file: string } | { readonly dynamodb: string }

export interface IdentityConfig {
  readonly trustDomain: string
  /** The authority's own URL. */
  readonly issuer: string
  /** What proofs must be made for. */
  readonly audience: string
  /** Absolute paths; null = plain http, on loopback or in development alone. */
  readonly tls: { readonly certificate: string; readonly key: string } | null
  readonly authority: { readonly directory: string } | { readonly secret: string }
  /** All issuers of tokens, those of AWS accounts among them. */
  readonly providers: readonly OidcProvider[]
  readonly aws: AwsProofs | null
  readonly registrations: readonly Registration[]
  readonly replay: 'memory' | { readonly dynamodb: string }
  readonly issuances: StoreConfig
  /** Requests with a proof, by one source and minute, for each instance. */
  readonly perSourcePerMinute: number
  /** `SALLYPORT_DEV=1`. */
  readonly dev: boolean
  /** The environment variables that won over the file. */
  readonly overridden: readonly string[]
  /** What is allowed and yet hardly meant; said when the authority starts. */
  readonly warnings: readonly Fault[]
}

export interface IdentityConfigInput {
  /** As the operator named it; relative references in the file are relative to its directory. */
  readonly file: string
  readonly text: string
  readonly environment: IdentityEnvironment
}

export type IdentityConfigResult =
  | {
      readonly ok: true
      readonly value: IdentityConfig
      readonly warnings: readonly Fault[]
      /** For faults that are found later, in files that it names. */
      readonly lineOf: (keys: KeyPath) => number | null
    }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Reads identity.yaml, and says what in it is hardly meant; touches no file that it names. */
export function readIdentityConfig(input: IdentityConfigInput): IdentityConfigResult {
  const loaded = loadYamlFile({ file: input.file, text: input.text }, IDENTITY_SCHEMA)
  if (!loaded.ok) return { ok: false, faults: loaded.faults }
  const { document, overridden, faults } = applyOverrides(loaded.value, input.environment)
  const checks = { ...input, lineOf: loaded.lineOf }
  const all = [...faults, ...checkDocument(document, checks)]
  if (all.length > 0) return { ok: false, faults: all }
  const values = toConfig(document, path.dirname(path.resolve(input.file)))
  const warnings = lintDocument(document, values, checks)
  const value = { ...values, dev: input.environment.dev, overridden, warnings }
  return { ok: true, value, warnings, lineOf: loaded.lineOf }
}

/** As readIdentityConfig. @throws ConfigurationError with all faults */
export function loadIdentityConfig(input: IdentityConfigInput): IdentityConfig {
  const result = readIdentityConfig(input)
  if (!result.ok) throw new ConfigurationError(result.faults)
  return result.value
}
