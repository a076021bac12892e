// The admin port over real HTTP: metrics, and the Host check that keeps web pages out.
import http from 'node:http'
import net from 'node:net'
import pino from 'pino'
import { describe, expect, test, vi } from 'vitest'
import { type AdminOptions, startAdmin } from '../../../gateway/admin/app.ts'
import { createMetrics } from '../../../gateway/telemetry/metrics.ts'

async function startPort(parts: Pick<AdminOptions, 'configuration' | 'sessions'> = {}) {
  const metrics = createMetrics({
    version: '1.2.3',
    audit: () => ({ dropped: 4, backlogBytes: 5, oldestWaitMs: 0, failure: null, recordsWaiting: 0 }),
  })
  const logged: string[] = []
  const log = pino({}, { write: (line: string) => void logged.push(line) })
  const admin = await startAdmin({ address: { host: '127.0.0.1', port: 0 }, metrics, log, ...parts })
  return {
    port: admin.address.port,
    metrics,
    logged: () => logged.map((line) => JSON.parse(line) as Record<string, unknown>),
    async [Symbol.asyncDispose]() {
      metrics.close()
      await admin[Symbol.asyncDispose]()
    },
  }
}

interface Answer {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly body: string
}

/** Not by fetch, which sets Host itself. */
async function get(port: number, path: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', path, headers }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      response.on('end', () =>
        resolve({ status: response.statusCode, type: response.headers['content-type'], body }),
      )
    })
    request.on('error', reject)
  })
}

describe('the admin port', () => {
  test('gives the metrics as Prometheus text', async () => {
    await using admin = await startPort()
    admin.metrics.attempt('proxy', 'policy-denied', { sent: 7, received: 9 })
    admin.metrics.attempt('proxy', 'policy-denied', { sent: 0, received: 0 })
    admin.metrics.upstreamConnected(0.003, null)
    const { status, type, body } = await get(admin.port, '/metrics')
    expect({ status, type }).toEqual({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' })
    const lines = body.split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        '# TYPE sallyport_sessions_total counter',
        'sallyport_sessions_total{listener="proxy",code="policy-denied",stage="policy"} 2',
        'sallyport_bytes_total{direction="sent"} 7',
        'sallyport_bytes_total{direction="received"} 9',
        'sallyport_upstream_connect_seconds_bucket{le="0.0025"} 0',
        'sallyport_upstream_connect_seconds_bucket{le="0.005"} 1',
        'sallyport_upstream_connect_seconds_bucket{le="+Inf"} 1',
        'sallyport_upstream_connect_seconds_sum 0.003',
        'sallyport_audit_dropped_total 4',
        'sallyport_audit_backlog_bytes 5',
      ]),
    )
    expect(body.endsWith('\n')).toBe(true)
  })

  test.for<[string, string, number]>([
    ['localhost', 'localhost:9901', 200],
    ['an address of loopback', '127.0.0.2:1', 200],
    ['IPv6 loopback', '[::1]:9901', 200],
    ['a name that a page made point here', 'rebind.example:9901', 403],
    ['a name that begins like loopback', '127.0.0.1.rebind.example', 403],
    ['a name that ends like it', 'evil-localhost', 403],
    ['another address', '10.0.0.5:9901', 403],
    ['what only looks like an address of loopback', '127.999.1.1', 403],
  ])('Host %s', async ([, host, expected]) => {
    await using admin = await startPort()
    const { status, body } = await get(admin.port, '/metrics', { host })
    expect(status).toBe(expected)
    expect(body.includes('sallyport_build_info')).toBe(expected === 200)
  })

  test('another path is 404', async () => {
    await using admin = await startPort()
    expect((await get(admin.port, '/sessions')).status).toBe(404)
  })
})

describe('what goes wrong inside the admin port is told in JSON, with its cause in the log alone:', () => {
  const broken = () => {
    throw new Error('out of order')
  }
  // A statement of ours throws errors alone.
  const brokenOtherwise = (): object => {
    const generator = (function* () {
      yield {}
    })()
    return generator.throw('out of order')
  }
  const sessions = {
    registry: { all: broken, by: broken, get: broken },
    living: { end: broken },
    now: broken,
  }
  const silent = () => {
    const spies = (['error', 'warn', 'info', 'log', 'debug'] as const).map((name) => vi.spyOn(console, name))
    return {
      said: () => spies.flatMap(({ mock }) => mock.calls),
      [Symbol.dispose]: () => {
        for (const spy of spies) spy.mockRestore()
      },
    }
  }

  test.for<[string, string, object]>([
    ['the configuration', '/config?token=t0ken', { configuration: broken }],
    ['what is no error', '/config', { configuration: brokenOtherwise }],
    ['the sessions', '/sessions?destination=t0ken', { sessions }],
  ])('%s', async ([, path, parts]) => {
    using quiet = silent()
    await using admin = await startPort(parts)
    const { status, type, body } = await get(admin.port, path)
    expect({ status, type }).toEqual({ status: 500, type: 'application/json' })
    expect(JSON.parse(body)).toEqual({
      title: 'Internal Server Error',
      status: 500,
      detail: 'a fault of Sallyport itself: its log says more',
    })
    expect(admin.logged()).toEqual([
      expect.objectContaining({
        level: 50,
        msg: 'the admin port could not answer',
        method: 'GET',
        path: path.replace(/\?.*/, ''),
      }),
    ])
    expect(JSON.stringify(admin.logged())).toContain('out of order')
    expect(JSON.stringify(admin.logged())).not.toContain('t0ken')
    expect(quiet.said()).toEqual([])
  })

  test('what is no request is told so', async () => {
    using quiet = silent()
    await using admin = await startPort()
    const socket = net.connect({ host: '127.0.0.1', port: admin.port })
    socket.end('GET / HTTP/1.0\r\n\r\n')
    let said = ''
    for await (const chunk of socket) said += String(chunk)
    expect(said).toMatch(/^HTTP\/1\.1 400 [^]*"title":"Bad Request","status":400/)
    expect(admin.logged()).toEqual([])
    expect(quiet.said()).toEqual([])
  })
})
