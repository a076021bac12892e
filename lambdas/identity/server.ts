// The authority on a socket of its own: for `sallyport authority` and for development. TLS is required unless it
// listens on loopback or the development switch is set, since tokens travel here.
import { readFile } from 'node:fs/promises'
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono/tiny'
import { SallyportError } from '../../common/errors.ts'
import { formatListenAddress, type ListenAddress, parseListenAddress } from './address.ts'
import type { IdentityEnv } from './app-env.ts'
import { type AwsParts, buildIdentityApp } from './build.ts'
import type { IdentityConfig } from './config.ts'
import { answerClientErrors, refuseRequest } from './http-faults.ts'
import { type AuthorityLog, createStderrLog, messageOf } from './log.ts'

export type ServerErrorCode = 'address-malformed' | 'tls-required' | 'tls-unreadable' | 'listen-failed'

export class AuthorityServerError extends SallyportError<ServerErrorCode> {}

export interface StartAuthorityOptions {
  readonly config: IdentityConfig
  /** `host:port`; port 0 picks a free one. */
  readonly address: string
  readonly log?: AuthorityLog
  readonly clock?: () => Date
}

export interface RunningAuthority extends AsyncDisposable {
  /** `host:port` as it listens. */
  readonly address: string
  /** With its scheme. */
  readonly url: string
  close(): Promise<void>
}

/** A token may fill 16 KiB by itself, which is Node's own limit for all headers together. */
const MAX_HEADER_BYTES = 24 * 1024
const LIMITS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: 10_000,
  // Refused by the listener, which says why.
  requireHostHeader: false,
  requestTimeout: 20_000,
  keepAliveTimeout: 5_000,
} as const
const MAX_CONNECTIONS = 1_000

async function readTls(tls: { readonly certificate: string; readonly key: string }) {
  try {
    const [cert, key] = await Promise.all([readFile(tls.certificate), readFile(tls.key)])
    return { cert, key, minVersion: 'TLSv1.2' as const }
  } catch (error) {
    throw new AuthorityServerError('tls-unreadable', `tls: ${messageOf(error)}`)
  }
}

async function createServer(config: IdentityConfig, app: Hono<IdentityEnv>): Promise<Server> {
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: refuseRequest,
  })
  const onRequest = (...[request, response]: Parameters<typeof listener>): void => {
    void listener(request, response)
  }
  if (config.tls === null) return createHttpServer(LIMITS, onRequest)
  try {
    return createHttpsServer({ ...LIMITS, ...(await readTls(config.tls)) }, onRequest)
  } catch (error) {
    if (error instanceof AuthorityServerError) throw error
    throw new AuthorityServerError('tls-unreadable', `tls: ${messageOf(error)}`)
  }
}

function listen(server: Server, address: ListenAddress): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  server.once('error', (error) => {
    const message = `cannot listen on ${address.host}: ${error.message}`
    reject(new AuthorityServerError('listen-failed', message, { cause: error }))
  })
  server.listen(address.port, address.host, () => {
    const bound = server.address()
    const text =
      typeof bound === 'object' && bound !== null ? formatListenAddress(bound.address, bound.port) : ''
    resolve(text)
  })
  return promise
}

/** Lets the requests at hand end; idle connections are closed at once. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
    setTimeout(() => server.closeAllConnections(), 5_000).unref()
  })
}

function readAddress({ address, config }: StartAuthorityOptions): ListenAddress {
  const wanted = parseListenAddress(address)
  if (wanted === null) {
    throw new AuthorityServerError('address-malformed', `expected host:port, found ${address}`)
  }
  if (config.tls === null && !wanted.loopback && !config.dev) {
    throw new AuthorityServerError(
      'tls-required',
      `listening on ${wanted.host} needs tls: in the configuration`,
    )
  }
  return wanted
}

/** With the SDK's whole chain of credentials: this process may run anywhere. Who runs on files loads no SDK. */
async function loadAwsParts(): Promise<AwsParts> {
  const { createAwsParts } = await import('./build-aws.ts')
  return createAwsParts({ environment: null })
}

/**
 * Starts the authority and resolves when it listens; the CA is read, or made, before.
 * @throws AuthorityServerError, AuthorityError
 */
export async function startAuthority(options: StartAuthorityOptions): Promise<RunningAuthority> {
  const { config } = options
  const wanted = readAddress(options)
  const build = { config, log: options.log ?? createStderrLog(options.clock), aws: loadAwsParts }
  const app = await buildIdentityApp(options.clock === undefined ? build : { ...build, clock: options.clock })
  const server = await createServer(config, app)
  server.maxConnections = MAX_CONNECTIONS
  answerClientErrors(server)
  const address = await listen(server, wanted)
  let closing: Promise<void> | null = null
  const stop = (): Promise<void> => (closing ??= close(server))
  return {
    address,
    url: `${config.tls === null ? 'http' : 'https'}://${address}`,
    close: stop,
    [Symbol.asyncDispose]: stop,
  }
}
