// What a mesh proxy says of the workload in `baggage` (W3C Baggage §3.3, with the keys of ztunnel's src/baggage.rs).
// Anybody may write it: a hint for the record, never an identity and never an input of policy.

export interface BaggageHints {
  readonly cluster: string | null
  readonly namespace: string | null
  /** Both or neither. */
  readonly workloadKind: 'deployment' | 'pod' | 'job' | 'cronjob' | null
  readonly workload: string | null
  readonly service: string | null
  readonly version: string | null
  readonly region: string | null
  readonly zone: string | null
}

/** W3C Baggage §3.3.2: what every platform must be able to pass on; a mesh sends a tenth of it. */
const MAX_BYTES = 8192
const MAX_MEMBERS = 64
/** The longest name that Kubernetes has (a DNS subdomain); longer text is no name and is not kept. */
const MAX_VALUE = 253

const KEYS: ReadonlyMap<string, Exclude<keyof BaggageHints, 'workloadKind'>> = new Map([
  ['k8s.cluster.name', 'cluster'],
  ['k8s.namespace.name', 'namespace'],
  ['service.name', 'service'],
  ['service.version', 'version'],
  ['cloud.region', 'region'],
  ['cloud.availability_zone', 'zone'],
] as const)
const WORKLOAD_KEY = /^k8s\.(deployment|pod|job|cronjob)\.name$/
/** Key, value, and properties, which are not looked into. The value has neither comma nor semicolon nor quote. */
const MEMBER =
  /^[\t ]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t ]*=[\t ]*([!#-+\--:<-[\]-~]*)[\t ]*(?:;[\t !#-+\--~]*)?$/

/** The hints; null where there are none, where the header is malformed, and where it is too long. */
export function readBaggage(header: string): BaggageHints | null {
  if (header.length > MAX_BYTES) return null
  const members = header.split(',')
  if (members.length > MAX_MEMBERS) return null
  const hints = {
    cluster: null as string | null,
    namespace: null as string | null,
    workloadKind: null as BaggageHints['workloadKind'],
    workload: null as string | null,
    service: null as string | null,
    version: null as string | null,
    region: null as string | null,
    zone: null as string | null,
  }
  const seen = new Set<string>()
  for (const member of members) {
    const [, key, value] = MEMBER.exec(member) ?? []
    if (key === undefined || value === undefined) return null
    const kind = WORKLOAD_KEY.exec(key)?.[1] as BaggageHints['workloadKind'] | undefined
    const name = kind === undefined ? KEYS.get(key) : 'workload'
    if (name === undefined) continue
    // Of two values one would be believed by us and the other by somebody else.
    const text = seen.has(name) ? null : decode(value)
    seen.add(name)
    hints[name] = text
    if (name === 'workload') hints.workloadKind = text === null ? null : (kind ?? null)
  }
  return Object.values(hints).every((value) => value === null) ? null : Object.freeze(hints)
}

/** §3.3.1.3: percent-encoded UTF-8. Names are ASCII, so what is not is no name, and no terminal ever sees it. */
function decode(value: string): string | null {
  try {
    const text = decodeURIComponent(value)
    return /^[\u0021-\u007e]+$/.test(text) && text.length <= MAX_VALUE ? text : null
  } catch {
    return null
  }
}
