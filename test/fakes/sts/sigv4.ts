// Signature Version 4 as AWS judges it, from its documentation alone ("Create a signed AWS API request", IAM User Guide)
// and without any code of the product's: canonical request, signed headers, scope, date window.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

export interface SignedHttpRequest {
  readonly method: string
  /** With its query. */
  readonly url: string
  /** As they came: names and values in turn. */
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | null
}

export type Refusal =
  | 'MissingAuthenticationToken'
  | 'IncompleteSignature'
  | 'InvalidClientTokenId'
  | 'SignatureDoesNotMatch'
  | 'ExpiredToken'

export interface JudgeOptions<C extends Credentials> {
  readonly find: (accessKeyId: string) => C | undefined
  readonly now: Date
  readonly hasExpired: (credentials: C) => boolean
  /** The region whose host this is; null where the host is none of ours. */
  readonly regionOfHost: (host: string) => string | null
  /** Default: sts. */
  readonly service?: string
}

const WINDOW_MS = 15 * 60_000
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** Lower-case names; null where one stands twice. */
function readHeaders(raw: readonly string[]): ReadonlyMap<string, string> | null {
  const headers = new Map<string, string>()
  for (let index = 0; index < raw.length; index += 2) {
    const name = (raw[index] ?? '').toLowerCase()
    if (headers.has(name)) return null
    headers.set(name, (raw[index + 1] ?? '').trim().replaceAll(/ +/g, ' '))
  }
  return headers
}

function canonical(
  request: SignedHttpRequest,
  headers: ReadonlyMap<string, string>,
  names: readonly string[],
) {
  const [path = '/', query = ''] = request.url.split('?')
  const sorted = query.split('&').filter(Boolean).sort().join('&')
  const lines = names.map((name) => `${name}:${headers.get(name) ?? ''}\n`).join('')
  return [request.method, path, sorted, lines, names.join(';'), hash(request.body)].join('\n')
}

/** Null where it is no time of that form: a comparison with NaN would let it through. */
function parseDate(text: string): number | null {
  const form = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/
  const time = form.test(text) ? Date.parse(text.replace(form, '$1-$2-$3T$4:$5:$6Z')) : Number.NaN
  return Number.isNaN(time) ? null : time
}

/** Names that must be signed where they are there: the host, the content type, and all that AWS itself reads. */
function isUnsigned(headers: ReadonlyMap<string, string>, names: readonly string[]): boolean {
  const must = [...headers.keys()].filter(
    (name) => name === 'host' || name === 'content-type' || name.startsWith('x-amz-'),
  )
  return must.some((name) => !names.includes(name)) || names.some((name) => !headers.has(name))
}

/** Whose signature it is, or why it is refused. */
export function judge<C extends Credentials>(
  request: SignedHttpRequest,
  options: JudgeOptions<C>,
): C | Refusal {
  const headers = readHeaders(request.rawHeaders)
  if (headers === null) return 'IncompleteSignature'
  const authorization = headers.get('authorization')
  if (authorization === undefined) return 'MissingAuthenticationToken'
  const [, keyId = '', day = '', region = '', service = '', signed = '', signature = ''] =
    AUTHORIZATION.exec(authorization) ?? []
  if (keyId === '') return 'IncompleteSignature'
  const names = signed.split(';')
  if (names.join(';') !== [...new Set(names)].sort().join(';') || isUnsigned(headers, names)) {
    return 'SignatureDoesNotMatch'
  }
  const credentials = options.find(keyId)
  if (credentials === undefined) return 'InvalidClientTokenId'
  if ((headers.get('x-amz-security-token') ?? null) !== credentials.sessionToken)
    return 'InvalidClientTokenId'
  if (options.hasExpired(credentials)) return 'ExpiredToken'
  const date = headers.get('x-amz-date') ?? ''
  const signedAt = parseDate(date)
  if (signedAt === null) return 'IncompleteSignature'
  if (Math.abs(signedAt - options.now.getTime()) > WINDOW_MS || !date.startsWith(day)) {
    return 'SignatureDoesNotMatch'
  }
  if (service !== (options.service ?? 'sts') || options.regionOfHost(headers.get('host') ?? '') !== region) {
    return 'SignatureDoesNotMatch'
  }
  const scope = `${day}/${region}/${service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', date, scope, hash(canonical(request, headers, names))].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce<Buffer | string>(
    hmac,
    `AWS4${credentials.secretAccessKey}`,
  )
  const expected = hmac(key, text)
  return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? credentials : 'SignatureDoesNotMatch'
}
