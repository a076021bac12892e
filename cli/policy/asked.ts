// From words to the question that the gateway would ask of policy: who, for what, by which listener, at what time. What
// cannot be asked at all is wrong use, and says what could be.
import type { PolicySource } from '../../gateway/config/policy-source.ts'
import type { GatewayDocument } from '../../gateway/config/schema.ts'
import { compileDestinations, targetOf } from '../../gateway/destinations/match.ts'
import { parseHostPort } from '../../gateway/destinations/host.ts'
import type { Question } from '../../gateway/policy/types.ts'
import { canonicalAddress } from '../../gateway/upstream/address-class.ts'
import { readPrincipal, UsageError } from '../diagnose/asked.ts'

export interface AskedOptions {
  readonly workload?: string | undefined
  readonly network?: string | undefined
  readonly to: string
  readonly listener?: string | undefined
  readonly sourceIp?: string | undefined
  readonly serial?: string | undefined
  readonly vpcEndpoint?: string | undefined
  readonly at?: string | undefined
}

export interface Asked {
  readonly principal: Question['principal']
  /** Canonical. */
  readonly host: string
  readonly port: number
  readonly context: Question['context']
}

/** @throws UsageError */
export function readAsked(options: AskedOptions, source: PolicySource, now: Date): Asked {
  const networks = source.networks.map((name) => ({ name }))
  const principal = readPrincipal(options, { networks })
  const to = parseHostPort(options.to)
  if (!to.ok) throw new UsageError(`--to: ${to.message}, such as api.bank.example:443`)
  const sourceIp = canonicalAddress(options.sourceIp ?? '127.0.0.1')
  if (sourceIp === null) throw new UsageError('--source-ip: expected an IP address')
  const { vpcEndpoint } = options
  const context = {
    now: options.at === undefined ? now : readTime(options.at),
    sourceIp,
    listener: readListener(options.listener, principal.kind, source),
    serialNumber: readSerial(options.serial ?? ''),
    ...(vpcEndpoint === undefined ? {} : { vpcEndpoint }),
  }
  return { principal, host: to.host, port: to.port, context }
}

const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:?\d\d))?$/

/** A time without a zone would mean another moment on each machine. */
export function readTime(text: string): Date {
  const time = new Date(TIME.test(text) ? text.replace(/([+-]\d\d)(\d\d)$/, '$1:$2') : Number.NaN)
  if (!Number.isNaN(time.getTime())) return time
  throw new UsageError('--at: expected a time such as 2027-06-30 or 2027-06-30T12:00:00Z')
}

function readSerial(text: string): string {
  if (/^(?:[0-9a-f]{2})*$/.test(text)) return text
  throw new UsageError('--serial: expected lower-case hexadecimal, two digits a byte, without colons')
}

/** Workloads and networks come in by different listeners; the first of the right kind where none is named. */
function readListener(name: string | undefined, kind: 'workload' | 'network', source: PolicySource): string {
  const names = source.listeners.filter(({ admits }) => admits === kind).map((listener) => listener.name)
  const chosen = name === undefined ? names[0] : names.find((one) => one === name)
  if (chosen !== undefined) return chosen
  if (name === undefined) throw new UsageError(`no listener lets a ${kind} in`)
  const known = names.length === 0 ? 'none' : names.join(', ')
  throw new UsageError(`--listener: no ${name} that lets a ${kind} in; the configuration has ${known}`)
}

type Destination = GatewayDocument['destinations'][number]

export interface Resolved {
  readonly destination: Destination
  readonly question: Question
}

/** Finds destinations as the gateway does; null where it has none for this host and port. */
export function createResolve(source: PolicySource): (asked: Asked) => Resolved | null {
  const { match } = compileDestinations<Destination>(source.destinations)
  return ({ principal, host, port, context }) => {
    const destination = match(host, port)
    // A listener for networks reaches no other than these (gateway/destinations/match.ts).
    if (destination === null || (principal.kind === 'network' && destination.tls !== 'passthrough'))
      return null
    const target = targetOf(destination, { host, port })
    return { destination, question: { principal, destination, ...target, context } }
  }
}
