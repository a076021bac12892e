// Asks a gateway's admin port: plain HTTP on loopback, or mTLS, where the server must be the gateway by its SPIFFE ID, since
// tasks are asked by address.
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { checkX509SvidLeaf } from '../../spiffe/x509-svid.ts'

export interface AdminAddress {
  /** `http://127.0.0.1:9901`, or `https://…` with the three below. */
  readonly admin: string
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly ca?: string | undefined
  /** Default: `/sallyport/gateway` in the trust domain of `cert`. */
  readonly gatewayId?: string | undefined
}

/** What is wrong with the command line. */
export class UsageError extends Error {}

/** Why there is no answer that can be used. */
export class AdminError extends Error {
  /** Of the answer; null where there was none. */
  readonly status: number | null

  constructor(message: string, status: number | null = null) {
    super(message)
    this.status = status
  }
}

const TIMEOUT_MS = 15_000
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

export interface AdminClient {
  /** The JSON of a 200. @throws AdminError */
  ask(method: 'GET' | 'DELETE', path: string): Promise<unknown>
}

/** @throws UsageError, AdminError */
export async function createAdminClient(address: AdminAddress): Promise<AdminClient> {
  const base = readBase(address.admin)
  const options = base.protocol === 'https:' ? await tlsOptions(address) : {}
  return {
    async ask(method, path) {
      const { status, body } = await send(new URL(path, base), { ...options, method })
      const value = parse(body)
      if (status === 200) return value
      const detail = isObject(value) && typeof value['detail'] === 'string' ? value['detail'] : body.trim()
      throw new AdminError(`${base.origin} answered ${status}: ${detail.slice(0, 500)}`, status)
    },
  }
}

function readBase(text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--admin: expected a URL such as http://127.0.0.1:9901, found ${text}`)
  }
  return url
}

async function tlsOptions({ cert, key, ca, gatewayId }: AdminAddress): Promise<https.RequestOptions> {
  if (cert === undefined || key === undefined || ca === undefined) {
    throw new UsageError('an https:// address wants --cert, --key and --ca')
  }
  const [certificate, privateKey, roots] = await Promise.all(
    [cert, key, ca].map((file) => readFile(file, 'utf8')),
  )
  const own = checkX509SvidLeaf(new X509Certificate(certificate ?? ''))
  const expected = gatewayId ?? `spiffe://${own.trustDomain}/sallyport/gateway`
  return {
    cert: certificate,
    key: privateKey,
    ca: roots,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true,
    checkServerIdentity: (_host, peer) => checkGateway(peer.raw, expected),
  }
}

function checkGateway(der: Buffer, expected: string): Error | undefined {
  try {
    const { uri } = checkX509SvidLeaf(new X509Certificate(der))
    return uri === expected
      ? undefined
      : new Error(`the server is ${uri}, and ${expected} was expected (--gateway-id)`)
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

async function send(url: URL, options: https.RequestOptions): Promise<{ status: number; body: string }> {
  const { request: start } = url.protocol === 'https:' ? https : http
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(new AdminError(`${url.origin}: ${error.message || String(error)}`))
    const request = start(url, { ...options, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        length += chunk.length
        if (length > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is too long'))
      })
      response.on('error', fail)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
    request.on('error', fail)
    request.end()
  })
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
