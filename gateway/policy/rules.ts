// What Cedar's validator cannot know: that the names in a policy exist in this configuration, and that it is written in
// a form that can match at all. Each rule turns a policy that would silently never apply, or apply to everybody, into
// a fault. Works on policies that Cedar has parsed.
import type { Fault } from '../../common/fault.ts'
import { parseSpiffeId } from '../../spiffe/id.ts'
import type { PolicyJson } from './cedar.ts'
import { checkHost, checkHostPart } from './host-literals.ts'
import type { EntityLiteral } from './literals.ts'
import { entityLiterals, literalsComparedWith } from './literals.ts'
import { canonicalSerialNumber } from './serial-number.ts'
import type { Statement } from './source.ts'
import { lineOfLiteral } from './source.ts'

/** What the configuration declares, by name. */
export interface KnownNames {
  readonly destinations: ReadonlySet<string>
  readonly tags: ReadonlySet<string>
  readonly networks: ReadonlySet<string>
  readonly trustDomains: ReadonlySet<string>
}

export interface NamedPolicy {
  readonly id: string
  readonly json: PolicyJson
  readonly statement: Statement
}

type Complaint = { readonly message: string; readonly remedy: string | null }

/** The faults of one policy; each at the line of the literal that it is about. */
export function checkPolicy(policy: NamedPolicy, known: KnownNames): readonly Fault[] {
  const faults: Fault[] = []
  const complain = (line: number, { message, remedy }: Complaint): void => {
    const { file } = policy.statement
    faults.push({ file, line, key: null, message: `policy ${JSON.stringify(policy.id)}: ${message}`, remedy })
  }
  if (policy.json.effect === 'permit' && policy.json.principal.op === 'All') {
    complain(policy.statement.line, {
      message: 'a permit for any principal also permits networks, which prove no identity',
      remedy: 'say `principal is Workload`, or name a Path or a Workload',
    })
  }
  for (const { value, complaint } of complaints(policy.json, known)) {
    complain(lineOfLiteral(policy.statement, value), complaint)
  }
  return faults
}

function* complaints(
  json: PolicyJson,
  known: KnownNames,
): Generator<{ readonly value: string; readonly complaint: Complaint }> {
  for (const entity of entityLiterals(json)) {
    const complaint = checkEntity(entity, known)
    if (complaint !== null) yield { value: entity.id, complaint }
  }
  for (const { text, part } of literalsComparedWith(json.conditions, 'serialNumber')) {
    const complaint = part ? checkSerialPart(text) : checkSerial(text)
    if (complaint !== null) yield { value: text, complaint }
  }
  for (const { text, part } of literalsComparedWith(json.conditions, 'host')) {
    const complaint = part ? checkHostPart(text) : checkHost(text)
    if (complaint !== null) yield { value: text, complaint }
  }
  for (const { text, part } of literalsComparedWith(json.conditions, 'trustDomain')) {
    if (!part && !known.trustDomains.has(text)) {
      yield { value: text, complaint: unknown('trust domain', text, known.trustDomains) }
    }
  }
}

function checkEntity({ type, id }: EntityLiteral, known: KnownNames): Complaint | null {
  switch (type) {
    case 'Destination':
      return known.destinations.has(id) ? null : unknown('destination', id, known.destinations)
    case 'Tag':
      return known.tags.has(id) ? null : unknown('tag', id, known.tags)
    case 'Network':
      return known.networks.has(id) ? null : unknown('network', id, known.networks)
    case 'Workload':
    case 'Path':
      return checkIdentity(type, id, known)
    default:
      return null // Action and unknown types: the schema's matter
  }
}

function checkIdentity(type: 'Workload' | 'Path', text: string, known: KnownNames): Complaint | null {
  const what = `${type}::${JSON.stringify(text)}`
  let id
  try {
    id = parseSpiffeId(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return {
      message: `${what} is not a SPIFFE ID: ${why}`,
      remedy: 'write it as spiffe://<trust domain>/<path>',
    }
  }
  // Cedar compares text, so any other spelling of the same ID would never match.
  if (id.uri !== text) return { message: `${what} is not in canonical form`, remedy: `write ${id.uri}` }
  if (!known.trustDomains.has(id.trustDomain)) {
    return unknown('trust domain', id.trustDomain, known.trustDomains)
  }
  if (type === 'Workload' && id.path === '') {
    return {
      message: `${what} is the trust domain itself, which is never a workload`,
      remedy: `say principal in Path::${JSON.stringify(text)} for all of its workloads`,
    }
  }
  return null
}

const MAX_LISTED = 8

function unknown(kind: string, name: string, names: ReadonlySet<string>): Complaint {
  const sorted = [...names].sort()
  const listed = sorted.slice(0, MAX_LISTED).join(', ') + (sorted.length > MAX_LISTED ? ', …' : '')
  return {
    message: `unknown ${kind} ${JSON.stringify(name)}`,
    remedy: sorted.length === 0 ? `the configuration has no ${kind}` : `known: ${listed}`,
  }
}

/** Serial numbers are lower-case hexadecimal, two digits a byte, without colons; empty where there is none. */
function checkSerial(text: string): Complaint | null {
  const canonical = canonicalSerialNumber(text)
  if (canonical === null) {
    return {
      message: `the serial number ${JSON.stringify(text)} is not hexadecimal`,
      remedy: 'write it as lower-case hexadecimal without colons, as in the audit record',
    }
  }
  if (canonical === text) return null
  return {
    message: `the serial number ${JSON.stringify(text)} would never match`,
    remedy: `write ${JSON.stringify(canonical)}`,
  }
}

function checkSerialPart(text: string): Complaint | null {
  if (/^[0-9a-f]*$/.test(text)) return null
  const canonical = text.replaceAll(/[\s:.-]/g, '').toLowerCase()
  return {
    message: `the serial number pattern ${JSON.stringify(text)} would never match`,
    remedy: /^[0-9a-f]*$/.test(canonical)
      ? `write ${JSON.stringify(canonical)}`
      : 'serial numbers are lower-case hexadecimal without colons',
  }
}
