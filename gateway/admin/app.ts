// The admin port: what operators and their scrapers may see. It listens on loopback alone, and answers only to loopback
// names, so that a web page in an operator's browser cannot reach it by DNS rebinding.
import { createServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { HostPort } from '../config/types.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export interface RunningServer extends AsyncDisposable {
  /** Where it really listens. */
  readonly address: HostPort
}

export interface AdminOptions {
  readonly address: HostPort
  readonly metrics: Metrics
  /** What GET /config shows. */
  readonly configuration?: () => object
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8 * 1024,
}

export function createAdminApp({ metrics, configuration }: Omit<AdminOptions, 'address'>): Hono {
  const app = new Hono()
  app.use(async (context, next) => {
    if (!LOOPBACK.test(context.req.header('host') ?? ''))
      return context.text('this port answers to loopback names alone\n', 403)
    return next()
  })
  app.get('/', (context) =>
    context.text('Sallyport admin\n/metrics  Prometheus text\n/config   the configuration in force\n'),
  )
  app.get('/metrics', (context) =>
    context.body(metrics.render(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
  if (configuration !== undefined) app.get('/config', (context) => context.json(configuration()))
  return app
}

/** Rejects with the system's error where the port cannot be had. */
export async function startAdmin(options: AdminOptions): Promise<RunningServer> {
  const listener = getRequestListener(createAdminApp(options).fetch, { overrideGlobalObjects: false })
  const server = createServer(LIMITS, (request, response) => void listener(request, response))
  const running = await listen(server, options.address)
  return {
    address: running.address,
    async [Symbol.asyncDispose]() {
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
