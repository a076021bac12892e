// What STS answers, in the two forms that it has: XML, and JSON where `Accept: application/json` asks for it.
import { randomUUID } from 'node:crypto'

export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** The result of an action; fields in AWS's order. */
export function success(json: boolean, action: string, fields: Readonly<Record<string, string>>): Answer {
  const RequestId = randomUUID()
  if (json) {
    const body = { [`${action}Response`]: { [`${action}Result`]: fields, ResponseMetadata: { RequestId } } }
    return { status: 200, contentType: 'application/json', body: JSON.stringify(body) }
  }
  const inner = Object.entries(fields)
    .map(([name, value]) => `<${name}>${escape(value)}</${name}>`)
    .join('')
  const body = `<${action}Response xmlns="${NAMESPACE}"><${action}Result>${inner}</${action}Result><ResponseMetadata><RequestId>${RequestId}</RequestId></ResponseMetadata></${action}Response>`
  return { status: 200, contentType: 'text/xml', body }
}

/** A refusal. */
export function failure(json: boolean, status: number, code: string, message: string): Answer {
  const RequestId = randomUUID()
  if (json) {
    const body = { Error: { Code: code, Message: message, Type: 'Sender' }, RequestId }
    return { status, contentType: 'application/json', body: JSON.stringify(body) }
  }
  const body = `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escape(message)}</Message></Error><RequestId>${RequestId}</RequestId></ErrorResponse>`
  return { status, contentType: 'text/xml', body }
}
