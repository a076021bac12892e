// The host grammar, applied once where a host enters: a request, a destination, a server name. What comes out is the
// one spelling of the host, so that policy, match, audit and dial never disagree about what was asked for. Trusts
// nothing: the text is the peer's, and no part of it is repeated in a message.
import { isIPv4, isIPv6 } from 'node:net'
import { domainToASCII, domainToUnicode } from 'node:url'
import { canonicalAddress } from '../upstream/address-class.ts'

/** RFC 1035 §2.3.4: 63 octets a label; 255 on the wire are 253 as text without the trailing dot. */
const MAX_LABEL = 63
const MAX_NAME = 253

const NOT_ASCII = /[\u0080-\uffff]/
/**
 * Names that are their own one spelling at first sight, as nearly all are: labels in lower case, the last of letters alone, so
 * that it is no number. A label that could be Punycode is left to parseName.
 */
const ORDINARY_NAME = /^(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]{1,63}$/

export type HostErrorCode =
  | 'empty'
  | 'too-long'
  | 'not-ascii'
  | 'character'
  | 'label'
  | 'punycode'
  | 'numeric'
  | 'ipv6'
  | 'port'

export interface HostError {
  readonly ok: false
  readonly code: HostErrorCode
  /** Says what is wrong, with nothing of the text but a Punycode form that is safe to print. */
  readonly message: string
}

export interface ParsedHost {
  readonly ok: true
  readonly kind: 'name' | 'address'
  /** A lower-case name without trailing dot, dotted IPv4, or IPv6 by RFC 5952 without brackets. */
  readonly host: string
}

export type ParsedHostPort = ParsedHost & {
  /** 1 to 65535. */
  readonly port: number
}

/**
 * A DNS name, dotted IPv4, or IPv6 in brackets (RFC 3986 §3.2.2).
 *
 * Names are letters, digits and hyphens (RFC 952, RFC 1123 §2.1). An underscore is refused: DNS has names with it, but
 * they are no host names, and no public CA certifies one. A name whose last label is a number is refused too: inet_aton
 * and the WHATWG URL parser read `0177.0.0.1`, `127.1`, `2130706433` and `0x7f.1` as 127.0.0.1 (CVE-2026-106069,
 * CVE-2026-106072), so that what was judged as a name would be dialled as an address. Unicode is refused rather than
 * mapped, because the mapping turns full-width digits into such numbers (CVE-2026-105483) and drops soft hyphens.
 * A label `xn--…` is refused unless it stands for Unicode that is written in this one way (see isALabel).
 * An IPv4-mapped IPv6 address is the IPv4 address: that is what the kernel dials.
 */
export function parseHost(text: string): ParsedHost | HostError {
  if (text === '') return fail('empty', 'the host is empty')
  // One more for the trailing dot; longer text is not looked at.
  if (text.length > MAX_NAME + 1) return fail('too-long', `the host is longer than ${MAX_NAME} characters`)
  if (text.length <= MAX_NAME && ORDINARY_NAME.test(text)) return { ok: true, kind: 'name', host: text }
  if (text.startsWith('[')) return parseBracketed(text)
  // Before lower-casing, which would turn the Kelvin sign into a k.
  if (NOT_ASCII.test(text)) return notAscii(text)
  if (isIPv4(text)) return { ok: true, kind: 'address', host: text }
  if (text.includes(':')) return fail('ipv6', 'an IPv6 address stands in brackets and has no zone')
  return parseName(text.toLowerCase())
}

/** `host:port` of a CONNECT request or an `:authority`; the port is required and has no sign or leading zero. */
export function parseHostPort(text: string): ParsedHostPort | HostError {
  const end = text.startsWith('[') ? text.indexOf(']') + 1 : text.lastIndexOf(':')
  if (end <= 0 || text[end] !== ':') return fail('port', 'expected host:port')
  const host = parseHost(text.slice(0, end))
  if (!host.ok) return host
  const port = parsePort(text.slice(end + 1))
  return port === null ? fail('port', 'the port is not a number from 1 to 65535') : { ...host, port }
}

function parsePort(text: string): number | null {
  if (!/^[1-9]\d{0,4}$/.test(text)) return null
  const port = Number(text)
  return port <= 65_535 ? port : null
}

function parseBracketed(text: string): ParsedHost | HostError {
  const inner = text.slice(1, -1)
  // Of a zone (fe80::1%eth0), which isIPv6 would take, canonicalAddress makes null.
  const address = text.endsWith(']') && isIPv6(inner) ? canonicalAddress(inner) : null
  if (address === null) return fail('ipv6', 'what stands in brackets is not an IPv6 address without zone')
  return { ok: true, kind: 'address', host: address }
}

function parseName(lower: string): ParsedHost | HostError {
  const name = lower.endsWith('.') ? lower.slice(0, -1) : lower
  if (name.length > MAX_NAME) return fail('too-long', `the host is longer than ${MAX_NAME} characters`)
  if (/[^a-z0-9.-]/.test(name)) {
    return fail('character', 'the host has a character that is not a letter, digit, hyphen or dot')
  }
  const labels = name.split('.')
  for (const label of labels) {
    if (label === '') return fail('label', 'the host has an empty label')
    if (label.length > MAX_LABEL)
      return fail('label', `a label of the host is longer than ${MAX_LABEL} characters`)
    if (label.startsWith('-') || label.endsWith('-')) {
      return fail('label', 'a label of the host begins or ends with a hyphen')
    }
    if (label.startsWith('xn--') && !isALabel(label)) {
      return fail(
        'punycode',
        'a label of the host begins with xn-- and is not the Punycode of any Unicode label',
      )
    }
  }
  // WHATWG URL, "ends in a number": digits, or 0x and any hexadecimal digits, also none.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) {
    return fail(
      'numeric',
      'the host is a number or ends in one, and is not an IPv4 address of four decimal octets',
    )
  }
  return { ok: true, kind: 'name', host: name }
}

/**
 * Whether a lower-case label `xn--…` decodes to Unicode that encodes to this label again (RFC 5890 §2.3.2.1, RFC 5891
 * §5.3). What does not is an ASCII label to DNS and another name to whoever decodes it: some read
 * `xn--8g7c` as a full-width 1, and have read Punycode of plain ASCII as that ASCII (CVE-2024-12224). Validity is that of UTS 46 as in the WHATWG URL standard, not of IDNA 2008,
 * which would refuse registered names with symbols. Other labels with two hyphens in third place are plain names
 * (`r3---sn-a.googlevideo.com`), whatever RFC 5890 reserves.
 */
function isALabel(label: string): boolean {
  // Node gives back what it cannot decode to a valid label.
  const unicode = domainToUnicode(label)
  return unicode !== label && domainToASCII(unicode) === label
}

/**
 * Text from the wire, one character an octet, as it was meant: UTF-8 where it is that. Nothing but the hint for a name
 * that is refused depends on it, since both readings are ASCII or neither is.
 */
export function meantByOctets(latin1: string): string {
  if (!NOT_ASCII.test(latin1)) return latin1
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(latin1, 'latin1'))
  } catch {
    return latin1
  }
}

/** Gives the Punycode form where the text is an internationalised name and nothing else. */
function notAscii(text: string): HostError {
  // Always ASCII: empty where there is no such form.
  const ascii = parseHost(domainToASCII(text))
  const hint = ascii.ok && ascii.kind === 'name' && ascii.host.includes('xn--') ? `: write ${ascii.host}` : ''
  return fail('not-ascii', `the host has a character that is not ASCII${hint}`)
}

function fail(code: HostErrorCode, message: string): HostError {
  return { ok: false, code, message }
}
