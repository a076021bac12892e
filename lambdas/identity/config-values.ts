// From the checked document to the values that the authority works with. Nothing is judged here any more.
import path from 'node:path'
import { parseTrustDomain } from '../../spiffe/id.ts'
import type { IdentityConfig, StoreConfig } from './config.ts'
import type { IdentityDocument, ProviderDocument, RegistrationDocument } from './config-schema.ts'
import { parseFunctionPattern, parseRolePattern } from './proofs/aws/arn.ts'
import { knownIssuer } from './proofs/known-issuers.ts'
import type { OidcProvider } from './proofs/proof.ts'
import type { AwsMatch } from './registrations/match.ts'
import type { Registration } from './registrations/registration.ts'
import { parseTemplate } from './registrations/template.ts'

type Absolute = (file: string) => string

function toOidcProvider(provider: ProviderDocument, absolute: Absolute): OidcProvider {
  const spiffe = provider.trustDomain !== undefined
  const keys = provider.bundle ?? (provider.jwks === undefined ? provider.jwksUri : `file:${provider.jwks}`)
  const file = keys?.startsWith('file:') === true ? absolute(keys.slice(5)) : null
  const issuer = spiffe ? `spiffe://${provider.trustDomain}` : (provider.issuer ?? '')
  return {
    kind: spiffe ? 'spiffe' : 'oidc',
    name: provider.name,
    issuer,
    audience: provider.audience ?? null,
    jwksUri: file === null ? (keys ?? knownIssuer(issuer)?.jwksUri ?? null) : null,
    keysFile: file,
    maxTokenAgeMs: provider.maxTokenAge ?? null,
    reuse: provider.reuse,
    account: null,
  }
}

function toAwsProviders(aws: NonNullable<IdentityDocument['proofs']['aws']>): readonly OidcProvider[] {
  if (!aws.webIdentity) return []
  return Object.entries(aws.accounts).flatMap(([account, { issuer }]) =>
    issuer === undefined
      ? []
      : [
          {
            ...{ kind: 'aws', name: 'aws', issuer, account, reuse: aws.reuse },
            ...{ audience: null, jwksUri: null, keysFile: null },
            maxTokenAgeMs: aws.maxTokenAge ?? null,
          },
        ],
  )
}

function toAws({ aws }: IdentityDocument['proofs']): IdentityConfig['aws'] {
  if (aws === undefined) return null
  const { sigv4 } = aws
  return {
    accounts: new Set(Object.keys(aws.accounts)),
    sigv4: sigv4 === undefined ? null : { regions: sigv4.regions, stsEndpoint: sigv4.stsEndpoint ?? null },
    principalTags: aws.principalTags,
  }
}

function toAwsMatch(match: NonNullable<RegistrationDocument['match']['aws']>): AwsMatch | null {
  const role = parseRolePattern(match.role)
  if (role === null) return null
  return {
    role,
    anyPath: match.anyPath,
    roleId: match.roleId ?? null,
    principalTags: match.principalTags,
    lambdaFunction: match.lambdaFunction === undefined ? null : parseFunctionPattern(match.lambdaFunction),
    organization: match.organization ?? null,
  }
}

export function toRegistration(registration: RegistrationDocument): Registration {
  const { match, x509, jwt } = registration
  return {
    name: registration.name,
    spiffeId: parseTemplate(registration.spiffeId),
    reserved: registration.reserved,
    match: {
      oidc: match.oidc === undefined ? null : { provider: match.oidc, claims: match.claims ?? {} },
      aws: match.aws === undefined ? null : toAwsMatch(match.aws),
      keyBound: match.keyBound,
    },
    x509: { ttlSeconds: Math.floor(x509.ttl / 1000), dnsNames: x509.dnsNames },
    jwt: { audiences: jwt.audiences, ttlSeconds: Math.floor(jwt.ttl / 1000) },
    perMinute: registration.limits.perMinute,
  }
}

function toIssuances({ issuances }: IdentityDocument, absolute: Absolute): StoreConfig {
  if (issuances.dynamodb !== undefined) return { dynamodb: issuances.dynamodb.table }
  return { file: absolute(issuances.store ?? 'issuances.jsonl') }
}

function toAuthority({ authority }: IdentityDocument, absolute: Absolute): IdentityConfig['authority'] {
  if (authority.secretsManager !== undefined) return { secret: authority.secretsManager.issuing }
  return { directory: absolute(authority.files?.directory ?? '') }
}

/** @param base the directory that relative paths are relative to */
export function toConfig(
  document: IdentityDocument,
  base: string,
): Omit<IdentityConfig, 'overridden' | 'dev' | 'warnings'> {
  const absolute: Absolute = (file) => path.resolve(base, file)
  const { tls, proofs, replay } = document
  return {
    trustDomain: parseTrustDomain(document.trustDomain),
    issuer: document.issuer,
    audience: document.audience ?? document.issuer,
    tls: tls === undefined ? null : { certificate: absolute(tls.certificate), key: absolute(tls.key) },
    authority: toAuthority(document, absolute),
    providers: [
      ...proofs.oidc.map((provider) => toOidcProvider(provider, absolute)),
      ...(proofs.aws === undefined ? [] : toAwsProviders(proofs.aws)),
    ],
    aws: toAws(proofs),
    registrations: document.registrations.map(toRegistration),
    replay: replay.dynamodb === undefined ? 'memory' : { dynamodb: replay.dynamodb.table },
    issuances: toIssuances(document, absolute),
    perSourcePerMinute: document.limits.perSourcePerMinute,
  }
}
