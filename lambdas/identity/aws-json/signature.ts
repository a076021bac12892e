// Signature Version 4 of a POST to `/` ("Create a signed AWS API request", IAM User Guide). Every header is signed.
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export type Headers = Readonly<Record<string, string>>

export interface SignedCall {
  readonly credentials: AwsCredentials
  /** Names in lower case; `host` is among them. */
  readonly headers: Headers
  readonly body: string
  readonly now: Date
}

export type Sign = (call: SignedCall) => Headers

function sha256(text: string): string {
  return hash('sha256', text)
}

function hmac(key: string | Buffer | KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function canonicalRequest(headers: Headers, names: readonly string[], digest: string): string {
  const lines = names.map((name) => `${name}:${headers[name]}`)
  return ['POST', '/', '', ...lines, '', names.join(';'), digest].join('\n')
}

/**
 * Signs for one service of one region. The key of a day is kept: it takes four of the five HMACs. As a KeyObject, since Node
 * makes one of each Buffer anew, which costs three times the HMAC.
 */
export function createSigner(region: string, service: string): Sign {
  let kept: { readonly of: string; readonly key: KeyObject } | null = null

  function dayKey(secret: string, day: string): KeyObject {
    const of = `${day} ${secret}`
    if (kept?.of === of) return kept.key
    const parts = [day, region, service, 'aws4_request']
    const key = createSecretKey(parts.reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`)))
    kept = { of, key }
    return key
  }

  return ({ credentials, headers: given, body, now }) => {
    const date = now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
    const { sessionToken } = credentials
    const token = sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }
    const digest = sha256(body)
    const headers = { ...given, 'x-amz-content-sha256': digest, 'x-amz-date': date, ...token }
    const names = Object.keys(headers).sort()
    const scope = `${date.slice(0, 8)}/${region}/${service}/aws4_request`
    const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonicalRequest(headers, names, digest))].join(
      '\n',
    )
    const signature = hmac(dayKey(credentials.secretAccessKey, date.slice(0, 8)), text).toString('hex')
    const credential = `Credential=${credentials.accessKeyId}/${scope}`
    const authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`
    return { ...headers, authorization }
  }
}
