// S3 as far as PutObject goes, from its documentation: a real HTTP server that verifies signatures (SigV4), checksums and
// body digests, knows conditional writes (`If-None-Match: *`) and object lock, and refuses whatever it does not know.
import { createHash } from 'node:crypto'
import http from 'node:http'
import type net from 'node:net'
import { crc32 } from 'node:zlib'
import { type Credentials, judge } from '../sts/sigv4.ts'

export interface StoredObject {
  readonly body: string
  readonly contentType: string
  /** Null = as the bucket has it. */
  readonly lockedUntil: Date | null
}

export interface FakeS3 extends AsyncDisposable {
  readonly endpoint: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly objects: ReadonlyMap<string, StoredObject>
  readonly requests: () => number
  /** What the next requests meet instead of an answer: a status, or `lost`: it is done and the answer never comes. */
  readonly faults: (number | 'lost')[]
}

const REGION = 'eu-west-1'
/** Headers of PutObject that this fake acts on, or that mean nothing to it. */
const KNOWN = new Set([
  ...['accept', 'amz-sdk-invocation-id', 'amz-sdk-request', 'authorization', 'connection', 'content-length'],
  ...['content-type', 'host', 'if-none-match', 'user-agent', 'x-amz-checksum-crc32', 'x-amz-content-sha256'],
  ...['x-amz-date', 'x-amz-object-lock-mode', 'x-amz-object-lock-retain-until-date'],
  ...['x-amz-sdk-checksum-algorithm', 'x-amz-user-agent', 'expect', 'x-amz-security-token'],
])

export interface FakeS3Options {
  readonly bucket: string
  readonly objectLock: boolean
  /** Whose signature is taken. Default: those of a user. */
  readonly credentials?: Credentials
}

const USER: Credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: null,
}

type Answer = readonly [status: number, code: string | null]

export async function startFakeS3(options: FakeS3Options): Promise<FakeS3> {
  const { bucket, objectLock, credentials = USER } = options
  const objects = new Map<string, StoredObject>()
  const faults: (number | 'lost')[] = []
  let requests = 0

  const put = (request: http.IncomingMessage, body: string): Answer => {
    const refused = check(request, body, credentials)
    if (refused !== null) return refused
    const [path = '', query] = (request.url ?? '').split('?')
    // A host name of the bucket's own, or its name in the path.
    const own = String(request.headers.host).startsWith(`${bucket}.s3.`)
    const [, name = '', ...rest] = `${own ? `/${bucket}` : ''}${path}`.split('/')
    if (request.method !== 'PUT' || (query !== undefined && query !== 'x-id=PutObject')) {
      return [405, 'MethodNotAllowed']
    }
    if (name !== bucket) return [404, 'NoSuchBucket']
    const key = rest.join('/')
    const { headers } = request
    const mode = headers['x-amz-object-lock-mode']
    const until = headers['x-amz-object-lock-retain-until-date']
    if ((mode === undefined) !== (until === undefined)) return [400, 'InvalidArgument']
    if (mode !== undefined && headers['x-amz-sdk-checksum-algorithm'] === undefined) {
      return [400, 'InvalidRequest']
    }
    if (mode !== undefined && !objectLock) return [400, 'InvalidRequest']
    if (mode !== undefined && mode !== 'COMPLIANCE') return [400, 'InvalidArgument']
    const condition = headers['if-none-match']
    if (condition !== undefined && condition !== '*') return [501, 'NotImplemented']
    if (condition === '*' && objects.has(key)) return [412, 'PreconditionFailed']
    const lockedUntil = until === undefined ? null : new Date(String(until))
    objects.set(key, { body, contentType: String(headers['content-type']), lockedUntil })
    return [200, null]
  }

  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    requests += 1
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const fault = faults.shift()
    const [status, code]: Answer =
      typeof fault === 'number' ? [fault, 'InternalError'] : put(request, Buffer.concat(chunks).toString())
    if (fault === 'lost') {
      request.socket.resetAndDestroy()
      return
    }
    response.writeHead(status, { 'content-type': 'application/xml', 'x-amz-request-id': 'fake' })
    response.end(code === null ? '' : `<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
  }
  const server = http.createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    credentials,
    objects,
    requests: () => requests,
    faults,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function check(request: http.IncomingMessage, body: string, credentials: Credentials): Answer | null {
  const { headers } = request
  const unknown = Object.keys(headers).find((name) => !KNOWN.has(name))
  if (unknown !== undefined) return [501, `NotImplemented-${unknown}`]
  if (headers['x-amz-content-sha256'] !== createHash('sha256').update(body).digest('hex')) {
    return [400, 'XAmzContentSHA256Mismatch']
  }
  const verdict = judge(
    { method: request.method ?? '', url: request.url ?? '', rawHeaders: request.rawHeaders, body },
    {
      service: 's3',
      find: (id) => (id === credentials.accessKeyId ? credentials : undefined),
      now: new Date(),
      hasExpired: () => false,
      regionOfHost: () => REGION,
    },
  )
  if (typeof verdict === 'string') return [403, verdict]
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32(body))
  // Object lock asks for one of the checksums, and the SDK sends this one by default.
  return headers['x-amz-checksum-crc32'] === checksum.toString('base64') ? null : [400, 'InvalidRequest']
}
