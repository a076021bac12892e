// The admin port: what operators and their scrapers may see and do. On loopback it takes whoever is on the machine; anywhere
// else, and wherever it is configured so, it speaks mTLS to the workloads that `admin.workloads` names (callers.ts).
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { Hono } from 'hono'
import type { Logger } from 'pino'
import type { HostPort, KeyPair } from '../config/types.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { judgeByCertificate, type JudgeCaller, judgeLocal, keepChains, type MutualTls } from './callers.ts'
import { createSessionsApp, type SessionsOptions } from './sessions.ts'

export interface RunningServer extends AsyncDisposable {
  /** Where it really listens. */
  readonly address: HostPort
}

export interface AdminTls extends MutualTls {
  /** What it shows, and the roots by which OpenSSL builds chains, as they are now. */
  readonly material: () => { readonly identity: KeyPair; readonly roots: readonly string[] }
  /** Calls back with each change of them, until what it returns is called. */
  readonly onChange: (listener: () => void) => () => void
}

export interface AdminOptions {
  readonly address: HostPort
  readonly metrics: Metrics
  /** Told of what goes wrong in here, and never of a query, which may name anything. */
  readonly log: Pick<Logger, 'error'>
  /** What GET /config shows. */
  readonly configuration?: () => object
  readonly sessions?: SessionsOptions
  /** Left out: plain HTTP, on loopback. */
  readonly tls?: AdminTls | null
}

const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8 * 1024,
}

const INDEX = `Sallyport admin
/metrics   Prometheus text
/config    the configuration in force
/sessions  live sessions; DELETE closes
`

type AdminOf = Pick<AdminOptions, 'metrics' | 'configuration' | 'sessions'>

export function createAdminApp({ metrics, configuration, sessions }: AdminOf, judge: JudgeCaller): Hono {
  const app = new Hono()
  app.use(async (context, next) => {
    const { incoming } = context.env as HttpBindings
    const caller = judge(incoming)
    context.header('cache-control', 'no-store')
    return caller.ok ? next() : context.text(`${caller.why}\n`, 403)
  })
  app.get('/', (context) => context.text(INDEX))
  app.get('/metrics', (context) =>
    context.body(metrics.render(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
  if (configuration !== undefined) app.get('/config', (context) => context.json(configuration()))
  if (sessions !== undefined) {
    const by = (env: unknown) => {
      const caller = judge((env as HttpBindings).incoming)
      return caller.ok ? caller.name : 'nobody'
    }
    app.route(
      '/sessions',
      createSessionsApp(sessions, (context) => by(context.env)),
    )
  }
  return app
}

/** Rejects with the system's error where the port cannot be had. */
export async function startAdmin(options: AdminOptions): Promise<RunningServer> {
  const { tls = null } = options
  if (tls === null) {
    const server = createServer(LIMITS, answerBy(options, judgeLocal))
    return serve(server, options.address)
  }
  const server = createSecureServer({
    ...LIMITS,
    ...contextOf(tls),
    requestCert: true,
    rejectUnauthorized: false,
  })
  server.on('request', answerBy(options, judgeByCertificate(keepChains(server), tls)))
  const forget = tls.onChange(() => server.setSecureContext(contextOf(tls)))
  return serve(server, options.address, forget)
}

function answerBy({ log, ...options }: AdminOf & Pick<AdminOptions, 'log'>, judge: JudgeCaller) {
  const app = createAdminApp(options, judge)
  // Hono's own handler writes to the console, in a form that no collector of logs reads.
  app.onError((error) => {
    throw error
  })
  return (request: IncomingMessage, response: ServerResponse) => {
    const { method, url = '' } = request
    const listener = getRequestListener(app.fetch, {
      overrideGlobalObjects: false,
      errorHandler(error) {
        if (error instanceof RequestError) return problem(400, 'Bad Request', 'no request that can be read')
        log.error({ err: error, method, path: url.replace(/\?.*$/, '') }, 'the admin port could not answer')
        return problem(500, 'Internal Server Error', 'a fault of Sallyport itself: its log says more')
      },
    })
    void listener(request, response)
  }
}

/** As the routes below tell of faults (RFC 9457 §3.1). */
function problem(status: number, title: string, detail: string): Response {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  return new Response(JSON.stringify({ title, status, detail }), { status, headers })
}

/** Never resumed: a ticket would let in an SVID that has expired. */
const SSL_OP_NO_TICKET = 0x4000

function contextOf({ material }: AdminTls) {
  const { identity, roots } = material()
  return {
    cert: identity.chainPem,
    key: identity.key.reveal(),
    ca: [...roots],
    minVersion: 'TLSv1.3' as const,
    secureOptions: SSL_OP_NO_TICKET,
  }
}

async function serve(
  server: Server & { closeAllConnections(): void },
  address: HostPort,
  onClosed = () => {},
): Promise<RunningServer> {
  const running = await listen(server, address)
  return {
    address: running.address,
    async [Symbol.asyncDispose]() {
      onClosed()
      const closed = running[Symbol.asyncDispose]()
      server.closeAllConnections()
      await closed
    },
  }
}

/** Listens and says where; disposing waits until the last connection is gone. Shared with the health port. */
export async function listen(server: Server, address: HostPort): Promise<RunningServer> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const bound = server.address() as AddressInfo
  return {
    address: { host: bound.address, port: bound.port },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
