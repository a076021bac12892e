// What a mesh proxy says in `forwarded` (RFC 7239) of where a connection came from and which host was meant. Anybody may
// write it: a hint for the record, never a source address and never a destination.
import { parseHost, parseHostPort } from '../destinations/host.ts'

export interface ForwardedHints {
  /** The application behind the proxy; null for `unknown`, obfuscated and malformed nodes. Address canonical. */
  readonly source: { readonly address: string; readonly port: number | null } | null
  /** Canonical (gateway/destinations/host.ts), with the port where one stands there. */
  readonly host: string | null
}

/** ztunnel writes two parameters: an address and one name of at most 253 characters. */
const MAX_BYTES = 1024
/** §4: a parameter and its value as token or quoted-string, and the semicolon or end behind it. */
const PAIR =
  /[\t ]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"((?:[\t !#-[\]-~\u0080-\u00ff]|\\[\t -~\u0080-\u00ff])*)"))?[\t ]*(?:;|$)/y
const PORT = /^\d{1,5}$/

/** The hints; null where there are none, where the header is malformed, and where it is too long. */
export function readForwarded(header: string): ForwardedHints | null {
  const parameters = header.length > MAX_BYTES ? null : readElement(header)
  if (parameters === null) return null
  const source = readNode(parameters.get('for') ?? '')
  const host = readHost(parameters.get('host') ?? '')
  return source === null && host === null ? null : Object.freeze({ source, host })
}

/**
 * The parameters of the one element. A list of several tells of further proxies, and which of its entries is whose
 * nobody has vouched for; a comma is thus malformed here.
 */
function readElement(header: string): ReadonlyMap<string, string> | null {
  const parameters = new Map<string, string>()
  PAIR.lastIndex = 0
  while (PAIR.lastIndex < header.length) {
    const match = PAIR.exec(header)
    // A failed match has set lastIndex back to 0.
    if (match === null) return null
    const [, name, token, quoted] = match
    if (name === undefined) continue
    const key = name.toLowerCase()
    // §4: no parameter more than once.
    if (parameters.has(key)) return null
    parameters.set(key, token ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'))
  }
  return parameters
}

/** §6: IPv4, or IPv6 in brackets, and a port that may be missing or obfuscated. */
function readNode(node: string): ForwardedHints['source'] {
  const [, address, port] = /^(\[[^\]]*\]|[^:[\]]*)(?::([^:]+))?$/.exec(node) ?? []
  if (address === undefined) return null
  const parsed = parseHost(address)
  if (!parsed.ok || parsed.kind !== 'address') return null
  if (port === undefined || /^_[A-Za-z0-9._-]+$/.test(port))
    return Object.freeze({ address: parsed.host, port: null })
  if (!PORT.test(port) || Number(port) > 65_535) return null
  return Object.freeze({ address: parsed.host, port: Number(port) })
}

function readHost(text: string): string | null {
  const bare = parseHost(text)
  if (bare.ok) return bare.host
  const full = parseHostPort(text)
  if (!full.ok) return null
  return full.host.includes(':') ? `[${full.host}]:${full.port}` : `${full.host}:${full.port}`
}
