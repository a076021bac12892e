// Values of identity.yaml that the environment gives, and which then win: a deployment knows its own names and
// tables only after the file was written.
import type { Fault } from '../../common/fault.ts'
import { dnsName, type IdentityDocument, secretId, tableName } from './config-schema.ts'
import { findOwnIssuerFault } from './config-urls.ts'
import type { IdentityEnvironment } from './environment.ts'

interface Overridden {
  readonly document: IdentityDocument
  readonly overridden: readonly string[]
  readonly faults: readonly Fault[]
}

/** The document with the value in it, or what is wrong with the value. */
type Override = (document: IdentityDocument, value: string, dev: boolean) => IdentityDocument | string

/** Judged here as the file's is judged later: a fault must name the place where the value stands. */
const setIssuer: Override = (document, issuer, dev) =>
  findOwnIssuerFault(issuer, { dev }) ?? { ...document, issuer }

const setSecret: Override = (document, issuing) => {
  if (!secretId.safeParse(issuing).success)
    return `expected the ARN or the name of a secret, found ${issuing}`
  return { ...document, authority: { secretsManager: { issuing } } }
}

const setReplay: Override = (document, table) => {
  if (!tableName.safeParse(table).success) return `expected the name of a DynamoDB table, found ${table}`
  return { ...document, replay: { dynamodb: { table } } }
}

const setIssuances: Override = (document, table) => {
  if (!tableName.safeParse(table).success) return `expected the name of a DynamoDB table, found ${table}`
  return { ...document, issuances: { dynamodb: { table } } }
}

const setDnsNames: Override = (document, text) => {
  const names = text.split(',').map((name) => name.trim())
  const wrong = names.find((name) => !dnsName.safeParse(name).success)
  if (wrong !== undefined) return `${wrong} is no DNS name in lower case`
  const id = `spiffe://${document.trustDomain}/sallyport/gateway`
  if (!document.registrations.some(({ spiffeId }) => spiffeId === id)) {
    return 'no registration gives /sallyport/gateway'
  }
  const registrations = document.registrations.map((registration) =>
    registration.spiffeId === id
      ? { ...registration, x509: { ...registration.x509, dnsNames: names } }
      : registration,
  )
  return { ...document, registrations }
}

const OVERRIDES: Readonly<Record<string, Override>> = {
  SALLYPORT_ISSUER: setIssuer,
  SALLYPORT_ISSUING_SECRET: setSecret,
  SALLYPORT_REPLAY_TABLE: setReplay,
  SALLYPORT_ISSUANCES_TABLE: setIssuances,
  SALLYPORT_GATEWAY_DNS_NAMES: setDnsNames,
}

/** The document with the values of the environment in it, and the names of those that were used. */
export function applyOverrides(document: IdentityDocument, environment: IdentityEnvironment): Overridden {
  const faults: Fault[] = []
  let result = document
  for (const [name, value] of Object.entries(environment.overrides)) {
    const changed = OVERRIDES[name]?.(result, value, environment.dev) ?? result
    if (typeof changed !== 'string') result = changed
    else faults.push({ file: 'environment', line: null, key: name, message: changed, remedy: null })
  }
  return { document: result, overridden: Object.keys(environment.overrides), faults }
}
