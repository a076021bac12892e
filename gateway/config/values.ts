// The forms of single values in gateway.yaml: each a zod schema from the text that stands there to the value that is
// meant. A message that begins with `expected` gets the value found appended (common/yaml-file.ts).
import { isIP } from 'node:net'
import * as z from 'zod'
import { parseDuration } from '../../common/duration.ts'
import { parseSize } from '../../common/size.ts'
import { parseTrustDomain, SpiffeIdError } from '../../spiffe/id.ts'
import { parseSpiffeIdPattern } from '../../spiffe/pattern.ts'
import { parseHost } from '../destinations/host.ts'
import { canonicalAddress } from '../upstream/address-class.ts'
import { type AppConfigProfile, parseAppConfig } from './appconfig.ts'
import { canonicalRange } from './range.ts'
import { parseSecretReference, type Reference, SECRET_PREFIX, SecretReference } from './secret-reference.ts'
import type { HostPattern, HostPort } from './types.ts'

/** A message, and what to do where that needs saying. */
export class Wrong {
  readonly message: string
  readonly remedy: string | null

  constructor(message: string, remedy: string | null = null) {
    this.message = message
    this.remedy = remedy
  }
}

/** Text of one form; `expected` is said also where the value is no text. */
export function text<T>(expected: string, read: (value: string) => T | Wrong) {
  return z.string(`expected ${expected}`).transform((value, context): T => {
    const result = read(value)
    if (!(result instanceof Wrong)) return result
    context.addIssue({ code: 'custom', message: result.message, params: { remedy: result.remedy } })
    return z.NEVER
  })
}

/** One of `now`; one of `later` is known and refused as such. */
export function oneOf<const Now extends string>(
  now: readonly [Now, ...Now[]],
  later: readonly string[],
  instead: string,
) {
  const expected = `expected ${now.join(' or ')}`
  return text(expected.replace('expected ', ''), (value): Now | Wrong => {
    const found = now.find((one) => one === value)
    if (found !== undefined) return found
    if (!later.includes(value)) return new Wrong(expected)
    return new Wrong(`${value} is not available yet in this version of Sallyport`, instead)
  })
}

/** Names appear in policy, records and metrics. */
export const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'expected a name of letters, digits, dots, hyphens and underscores, at most 63',
  )

/** Milliseconds. `min` and `max` as durations, for the message too. */
export function duration(min: string, max: string) {
  const expected = `a duration of ${min} to ${max}, such as 300ms, 5s, 10m or 1h`
  const [low, high] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0]
  return text(expected, (value) => {
    const ms = parseDuration(value)
    return ms !== null && ms >= low && ms <= high ? ms : new Wrong(`expected ${expected}`)
  })
}

/** Bytes. */
export function size(min: string, max: string) {
  const expected = `a size of ${min} to ${max}, such as 512KiB or 8MiB`
  const [low, high] = [parseSize(min) ?? 0, parseSize(max) ?? 0]
  return text(expected, (value) => {
    const bytes = parseSize(value)
    return bytes !== null && bytes >= low && bytes <= high ? bytes : new Wrong(`expected ${expected}`)
  })
}

export const trustDomain = text('a trust domain such as example.org', (value) =>
  spiffe(() => parseTrustDomain(value), 'a trust domain such as example.org'),
)

export const workloads = text('a SPIFFE ID, or one that ends in /* or /**', (value) =>
  spiffe(() => parseSpiffeIdPattern(value), 'a SPIFFE ID, or one that ends in /* or /**'),
)

function spiffe<T>(read: () => T, expected: string): T | Wrong {
  try {
    return read()
  } catch (error) {
    if (error instanceof SpiffeIdError) return new Wrong(`expected ${expected}`, error.message)
    throw error
  }
}

/** A path as it stands there. */
export const filePath = text('the path of a file', (value) => {
  if (value === '' || value.includes('\0')) return new Wrong('expected the path of a file')
  return value.startsWith('file:') ? new Wrong('expected a path', 'leave out file: here') : value
})

const MATERIAL = 'file:<path> or secretsmanager:<arn>#<field>'

/** The path behind `file:`, or a secret. */
export const material = text(MATERIAL, (value) => readReference(value, MATERIAL))

function readReference(value: string, expected: string): Reference | Wrong {
  if (value.startsWith(SECRET_PREFIX)) {
    const secret = parseSecretReference(value.slice(SECRET_PREFIX.length))
    return secret instanceof SecretReference ? secret : new Wrong(secret.message, secret.remedy)
  }
  return readFileReference(value, expected)
}

function readFileReference(value: string, expected: string): string | Wrong {
  const ok = value.startsWith('file:') && value.length > 5 && !value.includes('\0')
  return ok ? value.slice(5) : new Wrong(`expected ${expected}`)
}

const ROOTS = `system, ${MATERIAL}`

export const roots = text(ROOTS, (value): { readonly from: Reference } | 'system' | Wrong => {
  if (value === 'system') return value
  const from = readReference(value, ROOTS)
  return from instanceof Wrong ? from : { from }
})

const REVOCATION_SOURCE = 'file:<path> or appconfig:<application>/<environment>/<profile>'

/** The path behind `file:`, or a profile of AppConfig. */
export const revocationSource = text(REVOCATION_SOURCE, (value): string | AppConfigProfile | Wrong => {
  const profile = parseAppConfig(value)
  return profile ?? readFileReference(value, REVOCATION_SOURCE)
})

export const auditSink = text(
  'stdout or file:<path>',
  (value): { readonly kind: 'stdout' } | { readonly kind: 'file'; readonly path: string } | Wrong => {
    if (value === 'stdout') return { kind: 'stdout' }
    const ok = value.startsWith('file:') && value.length > 5 && !value.includes('\0')
    return ok ? { kind: 'file', path: value.slice(5) } : new Wrong('expected stdout or file:<path>')
  },
)

const CHECKPOINTS = 'file:<path> or s3://<bucket>/<prefix>'

/** Where else checkpoints of the audit go. The prefix has no slash at either end; empty = none. */
export const checkpoints = text(CHECKPOINTS, (value): CheckpointPlace | Wrong => {
  if (value.startsWith('file:')) {
    const path = readFileReference(value, CHECKPOINTS)
    return path instanceof Wrong ? path : { kind: 'file', path }
  }
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)(?:\/(.*))?$/.exec(value) ?? []
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) return new Wrong(`expected ${CHECKPOINTS}`)
  const folder = prefix.replace(/\/$/, '')
  // Those that need no encoding anywhere (S3 User Guide, "Object key naming guidelines").
  if (folder !== '' && !/^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/.test(folder)) {
    return new Wrong(`expected ${CHECKPOINTS}`, 'a prefix of letters, digits, dots, hyphens and underscores')
  }
  return { kind: 's3', bucket, prefix: folder }
})

type CheckpointPlace =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string }

/** CloudWatch's own rule for the name of a custom namespace; what begins with AWS/ is Amazon's. */
export const metricNamespace = z
  .string()
  .regex(
    /^(?!AWS\/)[A-Za-z0-9._/#:-]{1,255}$/,
    'expected a CloudWatch namespace of letters, digits and ._/#:-, not of AWS/, such as Sallyport',
  )

const HOST_PATTERN = 'a host name, *.<suffix>, * or an IP address'

export const hostPattern = text(HOST_PATTERN, (value): HostPattern | Wrong => {
  if (value === '*') return { kind: 'any' }
  const suffix = value.startsWith('*.')
  const bare = suffix ? value.slice(2) : value
  if (bare.includes('*')) {
    return new Wrong(`expected ${HOST_PATTERN}`, 'a * stands alone or as the whole first label')
  }
  const host = readHost(bare)
  if (host instanceof Wrong) return new Wrong(`expected ${HOST_PATTERN}`, host.message)
  if (!suffix) {
    return host.kind === 'address'
      ? { kind: 'address', address: host.host }
      : { kind: 'exact', host: host.host }
  }
  return host.kind === 'name'
    ? { kind: 'suffix', suffix: host.host }
    : new Wrong(`expected ${HOST_PATTERN}`, 'an IP address has no suffix')
})

export const serverName = text('a host name or an IP address', (value) => {
  const host = readHost(value)
  return host instanceof Wrong ? new Wrong('expected a host name or an IP address', host.message) : host.host
})

/** A name that a ClientHello may show: never an address (RFC 6066 §3). */
export const proofName = text('a host name', (value) => {
  const host = readHost(value)
  if (host instanceof Wrong) return new Wrong('expected a host name', host.message)
  return host.kind === 'name'
    ? host.host
    : new Wrong(
        'expected a host name',
        'no ClientHello names an address: nameProof: whenPresent is for those',
      )
})

/** In a file an IPv6 address may also stand without brackets, since no port follows it. */
function readHost(value: string) {
  if (value.includes('/')) return new Wrong('a range or a URL is no host: list each host')
  if (/^[^[:]*:\d+$/.test(value)) return new Wrong('the port belongs under ports')
  const host = parseHost(isIP(value) === 6 ? `[${value}]` : value)
  return host.ok ? host : new Wrong(host.message)
}

const PIN = 'sha256/ and the base64 of the 32 bytes of a SHA-256'

/** The base64 without its prefix, in the one spelling that an encoder gives. */
export const pin = text(PIN, (value) => {
  const base64 = /^sha256\/([A-Za-z0-9+/]{43}=)$/.exec(value)?.[1]
  if (base64 === undefined) return new Wrong(`expected ${PIN}`)
  const canonical = Buffer.from(base64, 'base64').toString('base64')
  return canonical === base64
    ? base64
    : new Wrong(`expected ${PIN}`, `the encoder's own form is ${canonical}`)
})

export const alpnProtocol = z
  .string()
  .regex(/^[\u0021-\u007e]{1,255}$/, 'expected an ALPN protocol name such as h2, of visible ASCII')

const RANGE = 'a range such as 10.20.0.0/16 or 2001:db8::/32'

export const addressRange = text(RANGE, (value) => {
  const range = canonicalRange(value)
  if (range === null)
    return new Wrong(`expected ${RANGE}`, isIP(value) === 0 ? null : 'one address ends in /32 or /128')
  return range.exact
    ? range.text
    : new Wrong(`expected ${RANGE}`, `the range of this length is ${range.text}`)
})

const VPC_CIDR = 'a CIDR block of the VPC, such as 10.0.0.0/16 or 2001:db8:1::/56'

/**
 * As AWS cuts them: IPv4 of /16 to /28, IPv6 of /44 to /60. A wider range would hide where the VPC's resolver is.
 * https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
 */
export const vpcCidr = text(VPC_CIDR, (value) => {
  const range = canonicalRange(value)
  if (range === null) return new Wrong(`expected ${VPC_CIDR}`)
  if (!range.exact) return new Wrong(`expected ${VPC_CIDR}`, `the range of this length is ${range.text}`)
  const bits = Number(range.text.split('/')[1])
  const [low, high] = range.text.includes(':') ? [44, 60] : [16, 28]
  return bits >= low && bits <= high
    ? range.text
    : new Wrong(`expected ${VPC_CIDR}`, `a VPC has blocks of /${low} to /${high}; list each`)
})

const LISTEN = 'an address and port such as 0.0.0.0:8443 or [::1]:0'

/** An IP address to listen on; port 0 picks a free one. */
export const listenAddress = text(LISTEN, (value): HostPort | Wrong => {
  if (value.startsWith(':')) return new Wrong(`expected ${LISTEN}`, `all addresses are 0.0.0.0${value}`)
  if (value.startsWith('localhost:')) {
    return new Wrong(`expected ${LISTEN}`, 'this machine alone is 127.0.0.1')
  }
  return readAddressAndPort(value, 0) ?? new Wrong(`expected ${LISTEN}`)
})

const ADDRESS_AND_PORT = 'an IP address and port such as 240.240.0.7:443'

/** A literal address with a port, as a mesh asks for it. */
export const addressAndPort = text(
  ADDRESS_AND_PORT,
  (value): HostPort | Wrong => readAddressAndPort(value, 1) ?? new Wrong(`expected ${ADDRESS_AND_PORT}`),
)

/** A name that a ClientHello can name: no address (RFC 6066 §3). In its one spelling. */
export function readServerNameKey(
  value: string,
): { readonly ok: true; readonly host: string } | { readonly ok: false; readonly message: string } {
  const host = readHost(value)
  if (host instanceof Wrong) return { ok: false, message: host.message }
  if (host.kind === 'address') return { ok: false, message: 'an address is no server name' }
  return { ok: true, host: host.host }
}

export const vpcEndpoint = z
  .string()
  .regex(/^vpce-[0-9a-f]{1,64}$/, 'expected the id of a VPC endpoint, such as vpce-0123456789abcdef0')

export const audience = z
  .string()
  .regex(
    /^[\u0021-\u007e]{1,1000}$/,
    'expected an audience of visible ASCII, such as spiffe://example.org/sallyport/gateway',
  )

const DNS_SERVER = 'the address and port of a DNS server, such as 10.0.0.2:53'

/** `address:port`, canonical. */
export const dnsServer = text(DNS_SERVER, (value) => {
  const server = readAddressAndPort(value, 1)
  if (server === null) return new Wrong(`expected ${DNS_SERVER}`, isIP(value) === 0 ? null : 'add the port')
  return server.host.includes(':') ? `[${server.host}]:${server.port}` : `${server.host}:${server.port}`
})

function readAddressAndPort(value: string, lowest: 0 | 1): HostPort | null {
  const match = /^(?:\[([^\]]*)\]|([^[\]:]*)):(0|[1-9]\d{0,4})$/.exec(value)
  const [, v6, v4, port] = match ?? []
  const family = isIP(v6 ?? v4 ?? '')
  const host = canonicalAddress(v6 ?? v4 ?? '')
  if (host === null || family !== (v6 === undefined ? 4 : 6)) return null
  return Number(port) <= 65_535 && Number(port) >= lowest ? { host, port: Number(port) } : null
}
