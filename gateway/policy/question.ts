// A question as Cedar takes it, and the check that it can be taken at all. The check comes before index and cache: what
// they can answer without Cedar must be refused for the same questions that Cedar would refuse.
import type { AuthorizationRequest, EntityJson } from './cedar.ts'
import { canonicalSource } from './address.ts'
import type { Question } from './types.ts'

/** `2026-08-01T10:00:00.000Z`: Cedar takes four digits for the year. */
const ISO_LENGTH = 24

/** Gives the canonical source address. Throws a TypeError or RangeError that says what cannot be judged. */
export function checkQuestion({ principal, destination, host, port, context }: Question): string {
  if (context.now.toISOString().length !== ISO_LENGTH) throw new RangeError('the time is out of range')
  if (!Number.isSafeInteger(port)) throw new RangeError('the port is not a whole number')
  const { listener, serialNumber, vpcEndpoint = '' } = context
  const texts = [host, destination.name, ...destination.tags, listener, serialNumber, vpcEndpoint]
  if (principal.kind === 'network') texts.push(principal.name)
  // Half a character cannot be written in UTF-8, which is what Cedar reads.
  if (texts.some((text) => !text.isWellFormed())) throw new TypeError('a text is not well-formed Unicode')
  return canonicalSource(context.sourceIp)
}

/** `paths` are the Path entities to name: an ID may have a thousand ancestors, and no other can be asked for. */
export function toRequest(
  question: Question,
  address: string,
  paths: readonly string[],
): AuthorizationRequest {
  const { destination, host, port, context } = question
  const principal = toPrincipal(question.principal, paths)
  const resource = { type: 'Destination', id: destination.name }
  const entities: EntityJson[] = [
    principal,
    {
      uid: resource,
      attrs: { host, port },
      parents: destination.tags.map((id) => ({ type: 'Tag', id })),
    },
  ]
  return {
    principal: principal.uid,
    action: { type: 'Action', id: 'connect' },
    resource,
    entities,
    context: {
      now: { __extn: { fn: 'datetime', arg: context.now.toISOString() } },
      sourceIp: { __extn: { fn: 'ip', arg: address } },
      listener: context.listener,
      serialNumber: context.serialNumber,
      ...(context.vpcEndpoint === undefined ? {} : { vpcEndpoint: context.vpcEndpoint }),
    },
  }
}

function toPrincipal(principal: Question['principal'], paths: readonly string[]): EntityJson {
  if (principal.kind === 'network') {
    return { uid: { type: 'Network', id: principal.name }, attrs: {}, parents: [] }
  }
  const { uri, trustDomain, path } = principal.id
  return {
    uid: { type: 'Workload', id: uri },
    attrs: { trustDomain, path },
    parents: paths.map((id) => ({ type: 'Path', id })),
  }
}

/** Each proper prefix of a SPIFFE ID, up to its trust domain: `spiffe://td/a/b` has `spiffe://td/a` and `spiffe://td`. */
export function ancestors(uri: string): readonly string[] {
  const found: string[] = []
  const end = uri.indexOf('/', 'spiffe://'.length)
  if (end === -1) return found
  for (let cut = uri.lastIndexOf('/'); cut >= end; cut = uri.lastIndexOf('/', cut - 1)) {
    found.push(uri.slice(0, cut))
  }
  return found
}
