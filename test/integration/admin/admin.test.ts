// The admin port over real HTTP: metrics, and the Host check that keeps web pages out.
import http from 'node:http'
import { describe, expect, test } from 'vitest'
import { startAdmin } from '../../../gateway/admin/app.ts'
import { createMetrics } from '../../../gateway/telemetry/metrics.ts'

async function startPort() {
  const metrics = createMetrics({
    version: '1.2.3',
    audit: () => ({ dropped: 4, backlogBytes: 5, oldestWaitMs: 0, failure: null }),
  })
  const admin = await startAdmin({ address: { host: '127.0.0.1', port: 0 }, metrics })
  return {
    port: admin.address.port,
    metrics,
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
