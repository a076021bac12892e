// Values of identity.yaml that the environment gives, and which then win: a deployment knows its own names and
// tables only after the file was written.
import type { Fault } from '../../common/fault.ts'
import { dnsName, type IdentityDocument } from './config-schema.ts'
import type { IdentityEnvironment } from './environment.ts'

const NOT_YET = new Set(['SALLYPORT_ISSUING_SECRET', 'SALLYPORT_REPLAY_TABLE', 'SALLYPORT_ISSUANCES_TABLE'])

function fault(name: string, message: string): Fault {
  return { file: 'environment', line: null, key: name, message, remedy: null }
}

interface Overridden {
  readonly document: IdentityDocument
  readonly overridden: readonly string[]
  readonly faults: readonly Fault[]
}

function setDnsNames(document: IdentityDocument, names: readonly string[]): IdentityDocument | null {
  const id = `spiffe://${document.trustDomain}/sallyport/gateway`
  if (!document.registrations.some(({ spiffeId }) => spiffeId === id)) return null
  const registrations = document.registrations.map((registration) =>
    registration.spiffeId === id
      ? { ...registration, x509: { ...registration.x509, dnsNames: [...names] } }
      : registration,
  )
  return { ...document, registrations }
}

function applyDnsNames(document: IdentityDocument, text: string): IdentityDocument | string {
  const names = text.split(',').map((name) => name.trim())
  const wrong = names.find((name) => !dnsName.safeParse(name).success)
  if (wrong !== undefined) return `${wrong} is no DNS name in lower case`
  return setDnsNames(document, names) ?? 'no registration gives /sallyport/gateway'
}

/** The document with the values of the environment in it, and the names of those that were used. */
export function applyOverrides(document: IdentityDocument, environment: IdentityEnvironment): Overridden {
  const faults: Fault[] = []
  let result = document
  for (const [name, value] of Object.entries(environment.overrides)) {
    if (NOT_YET.has(name)) faults.push(fault(name, 'not available yet'))
    else if (name === 'SALLYPORT_ISSUER') result = { ...result, issuer: value }
    else if (name === 'SALLYPORT_GATEWAY_DNS_NAMES') {
      const changed = applyDnsNames(result, value)
      if (typeof changed === 'string') faults.push(fault(name, changed))
      else result = changed
    }
  }
  return { document: result, overridden: Object.keys(environment.overrides), faults }
}
