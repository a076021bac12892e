// Reads one HTTP/1 CONNECT request from bytes: incremental, bounded, and strict where leniency has been an attack
// (RFC 9110 §9.3.6, RFC 9112 §2 to §6). Everything behind the header block belongs to the tunnel and is handed back.
import { meantByOctets, parseHost, parseHostPort } from '../destinations/host.ts'
import type { ReasonCode } from '../audit/reasons.ts'

/** Request line and header fields together, with the empty line that ends them. */
export const MAX_REQUEST_BYTES = 16 * 1024
const MAX_FIELDS = 100
const CRLF = '\r\n'
const END = Buffer.from('\r\n\r\n')

export type H1Version = '1.0' | '1.1'

export interface H1Request {
  readonly version: H1Version
  /** Canonical (gateway/destinations/host.ts). */
  readonly host: string
  readonly port: number
  /** A secret, where it is not null. */
  readonly proxyAuthorization: string | null
}

export type H1Result =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'request'; readonly request: H1Request; readonly rest: Buffer }
  | {
      readonly kind: 'refused'
      readonly code: ReasonCode
      readonly version: H1Version
      readonly detail: string
    }

interface Field {
  readonly name: string
  readonly value: string
}

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ ]+) HTTP\/(\d)\.(\d)$/
/** Field values: visible ASCII, obs-text, space and tab (RFC 9110 §5.5); NUL, CR and LF inside are smuggling. */
const FIELD_VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/** What `buffered`, all bytes so far, amounts to. The verdict on a prefix never changes when more bytes follow. */
export function readH1Request(buffered: Buffer): H1Result {
  const end = buffered.indexOf(END)
  if (end > MAX_REQUEST_BYTES - END.length || (end === -1 && buffered.length >= MAX_REQUEST_BYTES)) {
    return refused('request-too-large', '1.1', `more than ${MAX_REQUEST_BYTES} bytes`)
  }
  if (end === -1) return { kind: 'incomplete' }
  const [requestLine = '', ...lines] = buffered.toString('latin1', 0, end).split(CRLF)
  const head = readRequestLine(requestLine)
  if (head.kind === 'refused') return head
  const fields = readFields(lines)
  if (typeof fields === 'string') return refused('request-malformed', head.version, fields)
  const fault = checkFields(fields, head)
  if (fault !== null) return refused(fault.code, head.version, fault.detail)
  const { version, host, port } = head
  const proxyAuthorization = fields.find(({ name }) => name === 'proxy-authorization')?.value ?? null
  return {
    kind: 'request',
    request: { version, host, port, proxyAuthorization },
    rest: buffered.subarray(end + END.length),
  }
}

function refused(
  code: ReasonCode,
  version: H1Version,
  detail: string,
): Extract<H1Result, { kind: 'refused' }> {
  return { kind: 'refused', code, version, detail }
}

type Head = Omit<H1Request, 'proxyAuthorization'> & { readonly kind: 'head' }

function readRequestLine(line: string): Head | Extract<H1Result, { kind: 'refused' }> {
  const match = REQUEST_LINE.exec(line)
  if (match === null)
    return refused('request-malformed', '1.1', 'the request line is not METHOD SP TARGET SP HTTP/1.x')
  const [, method = '', target = '', major = '', minor = ''] = match
  if (major !== '1' || (minor !== '0' && minor !== '1')) {
    return refused('request-version', '1.1', `HTTP/${major}.${minor}`)
  }
  const version = minor === '0' ? '1.0' : '1.1'
  if (method !== 'CONNECT') return refused('request-method', version, `method ${method}`)
  const parsed = parseHostPort(meantByOctets(target))
  if (!parsed.ok) return refused('request-target', version, parsed.message)
  return { kind: 'head', version, host: parsed.host, port: parsed.port }
}

/** The fields, or what is wrong with them. */
function readFields(lines: readonly string[]): readonly Field[] | string {
  if (lines.length > MAX_FIELDS) return `more than ${MAX_FIELDS} header fields`
  const fields: Field[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    // A line that begins with white space is obs-fold, and white space before the colon is the classic way to
    // smuggle a field past one of two parsers (RFC 9112 §5.1, §5.2): TOKEN refuses both.
    const name = line.slice(0, Math.max(colon, 0))
    const value = withoutBlanks(line.slice(colon + 1))
    if (!TOKEN.test(name) || !FIELD_VALUE.test(value)) return 'a header field is not "name: value"'
    fields.push({ name: name.toLowerCase(), value })
  }
  return fields
}

/** By hand: a regular expression for blanks at the end looks at each run of them once for each of its characters. */
function withoutBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function checkFields(fields: readonly Field[], head: Head): { code: ReasonCode; detail: string } | null {
  const values = (name: string) => fields.filter((field) => field.name === name).map((field) => field.value)
  if (values('transfer-encoding').length > 0) return { code: 'request-body', detail: 'Transfer-Encoding' }
  if (values('content-length').some((value) => value !== '0'))
    return { code: 'request-body', detail: 'Content-Length' }
  if (values('proxy-authorization').length > 1) {
    return { code: 'request-malformed', detail: 'two Proxy-Authorization fields' }
  }
  const hosts = values('host')
  if (hosts.length > 1) return { code: 'request-host-missing', detail: 'two Host fields' }
  const [host] = hosts
  // Python before 3.12, openssl and socat speak HTTP/1.0 without Host.
  if (host === undefined) {
    return head.version === '1.0' ? null : { code: 'request-host-missing', detail: 'HTTP/1.1 without Host' }
  }
  return namesTarget(host, head)
    ? null
    : { code: 'request-host-mismatch', detail: 'Host differs from the target' }
}

/** Whether a Host names what is asked for. undici sends it without a port; one that is there must be the target's. */
export function namesTarget(
  value: string,
  target: { readonly host: string; readonly port: number },
): boolean {
  // As nearly all write it. A name in its one spelling reads as itself; an address with colons would lack its brackets.
  if (value === `${target.host}:${target.port}` && !target.host.includes(':')) return true
  const withPort = parseHostPort(value)
  if (withPort.ok) return withPort.host === target.host && withPort.port === target.port
  const bare = parseHost(value)
  return bare.ok && bare.host === target.host
}
