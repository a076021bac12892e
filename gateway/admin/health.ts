// The health port: GET /livez and GET /readyz for a balancer, and nothing else. With PROXY protocol on, NLB puts a v2
// header on its health checks too, so one header is read and dropped where one comes; nothing in it is used.
import http from 'node:http'
import net from 'node:net'
import type { HostPort } from '../config/types.ts'
import { listen, type RunningServer } from './app.ts'
import { skipProxyHeader } from './skip-proxy-header.ts'

export interface HealthState {
  readonly ok: boolean
  /** One word for people; null where all is well. */
  readonly reason: string | null
}

export interface HealthOptions {
  readonly address: HostPort
  readonly ready: () => HealthState
  /** Not ok where only a restart helps. */
  readonly alive: () => HealthState
}

/** A health check is a few hundred bytes each way; whoever takes longer is none. */
const CONNECTION_TIMEOUT_MS = 5_000
const MAX_CONNECTIONS = 256

/** Rejects with the system's error where the port cannot be had. */
export async function startHealth(options: HealthOptions): Promise<RunningServer> {
  const web = http.createServer({ maxHeaderSize: 4 * 1024, keepAlive: false }, (request, response) => {
    respond(options, request, response)
  })
  const sockets = new Set<net.Socket>()
  const server = net.createServer((raw) => {
    sockets.add(raw)
    // An http.Server that does not listen itself enforces none of its own time-outs.
    const deadline = setTimeout(() => raw.destroy(), CONNECTION_TIMEOUT_MS)
    raw.on('error', () => raw.destroy())
    raw.on('close', () => {
      clearTimeout(deadline)
      sockets.delete(raw)
    })
    skipProxyHeader(raw, () => web.emit('connection', raw))
  })
  server.maxConnections = MAX_CONNECTIONS
  const running = await listen(server, options.address)
  return {
    address: running.address,
    async [Symbol.asyncDispose]() {
      const closed = running[Symbol.asyncDispose]()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function respond(options: HealthOptions, request: http.IncomingMessage, response: http.ServerResponse): void {
  response.setHeader('connection', 'close')
  response.setHeader('cache-control', 'no-store')
  if (request.method !== 'GET' || (request.url !== '/livez' && request.url !== '/readyz')) {
    response.writeHead(404).end()
    return
  }
  const { ok, reason } = request.url === '/livez' ? options.alive() : options.ready()
  response.writeHead(ok ? 200 : 503, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify({ ok, reason })}\n`)
}
