// LDAP messages as far as beginning TLS needs them (RFC 4511 §4.1.1, §4.12, §4.14). A message is taken whole and within a
// limit, or not at all.
import { BerError, type Element, element, integer, readElements, readHeader, readInteger } from './ber.ts'

export const SEQUENCE = 0x30
export const INTEGER = 0x02
const ENUMERATED = 0x0a
const OCTET_STRING = 0x04
export const BIND_REQUEST = 0x60
export const BIND_RESPONSE = 0x61
export const SEARCH_REQUEST = 0x63
export const EXTENDED_REQUEST = 0x77
export const EXTENDED_RESPONSE = 0x78
const REQUEST_NAME = 0x80
const RESPONSE_NAME = 0x8a

const START_TLS_OID = '1.3.6.1.4.1.1466.20037'
const DISCONNECTION_OID = '1.3.6.1.4.1.1466.20036'

export const RESULT = {
  success: 0,
  operationsError: 1,
  insufficientAccessRights: 50,
  unavailable: 52,
} as const

export interface LdapMessage {
  readonly id: number
  readonly operation: Element
  /** With its header. */
  readonly bytes: Buffer
  readonly hasControls: boolean
}

/** The first message of `bytes`; null = it is not all there. @throws BerError */
export function readMessage(bytes: Buffer, maxBytes: number): LdapMessage | null {
  const header = readHeader(bytes)
  if (bytes.length > 0 && bytes[0] !== SEQUENCE) throw new BerError('no LDAP message')
  if (header === null) return null
  const total = header.start + header.length
  if (total > maxBytes) throw new BerError(`a message of more than ${maxBytes} bytes`)
  if (bytes.length < total) return null
  const [id, operation, controls, ...more] = readElements(bytes.subarray(header.start, total))
  if (id === undefined || operation === undefined || more.length > 0) throw new BerError('no LDAP message')
  if (id.tag !== INTEGER) throw new BerError('a message without messageID')
  return {
    id: readInteger(id.content),
    operation,
    bytes: bytes.subarray(0, total),
    hasControls: controls !== undefined,
  }
}

export function isStartTls({ operation, hasControls }: LdapMessage): boolean {
  if (operation.tag !== EXTENDED_REQUEST || hasControls) return false
  try {
    const [name, ...more] = readElements(operation.content)
    return (
      name?.tag === REQUEST_NAME && more.length === 0 && name.content.toString('latin1') === START_TLS_OID
    )
  } catch (error) {
    if (error instanceof BerError) return false
    throw error
  }
}

export interface LdapResult {
  readonly code: number
  readonly diagnostic: string
}

/** The LDAPResult that an ExtendedResponse begins with. @throws BerError */
export function readResult({ content }: Element): LdapResult {
  const [code, matched, diagnostic] = readElements(content)
  if (code?.tag !== ENUMERATED || matched?.tag !== OCTET_STRING || diagnostic?.tag !== OCTET_STRING) {
    throw new BerError('a response without LDAPResult')
  }
  return { code: readInteger(code.content), diagnostic: diagnostic.content.toString('latin1') }
}

function message(id: number, operation: Buffer): Buffer {
  return element(SEQUENCE, integer(INTEGER, id), operation)
}

export function startTlsRequest(id: number): Buffer {
  return message(id, element(EXTENDED_REQUEST, element(REQUEST_NAME, Buffer.from(START_TLS_OID))))
}

export function response(tag: number, id: number, code: number, text: string): Buffer {
  return message(id, element(tag, ...result(code, text)))
}

/** RFC 4511 §4.4.1; its messageID is 0. */
export function noticeOfDisconnection(code: number, text: string): Buffer {
  const name = element(RESPONSE_NAME, Buffer.from(DISCONNECTION_OID))
  return message(0, element(EXTENDED_RESPONSE, ...result(code, text), name))
}

function result(code: number, text: string): readonly Buffer[] {
  return [
    integer(ENUMERATED, code),
    element(OCTET_STRING),
    element(OCTET_STRING, Buffer.from(text, 'latin1')),
  ]
}
