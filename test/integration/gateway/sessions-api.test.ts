// The live sessions by the admin port: listed, filtered, closed, and only by who may.
import http from 'node:http'
import https from 'node:https'
import path from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { startSallyport } from '../../fixtures/sallyport.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { outcome, scene, type Scene } from './living-scene.ts'

interface Answer {
  readonly status: number
  readonly body: string
  readonly json: Record<string, unknown>
}

async function ask(
  s: Scene,
  method: string,
  at: string,
  headers: http.OutgoingHttpHeaders = {},
  svid?: Issued | null,
) {
  const options = {
    host: '127.0.0.1',
    port: s.gateway.portOf('admin'),
    method,
    path: at,
    headers,
    agent: false,
  }
  const tls =
    svid === undefined
      ? null
      : { ca: s.world.root.pem, servername: 'localhost', cert: svid?.chainPem, key: svid?.keyPem }
  return new Promise<Answer>((resolve, reject) => {
    const request = tls === null ? http.request(options) : https.request({ ...options, ...tls })
    request.on('response', (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      response.on('end', () => {
        const json = body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {}
        resolve({ status: response.statusCode ?? 0, body, json })
      })
    })
    request.on('error', reject)
    request.end()
  })
}

const sessionsOf = ({ json }: Answer) => json['sessions'] as { id: string; workload: string; bytes: object }[]

/** Two sessions of /a and one of /b. */
async function three(options: Parameters<typeof scene>[0] = {}) {
  const s = await scene(options)
  const a = await s.svid('/a')
  const opened = [await s.open(a), await s.open(a), await s.open(await s.svid('/b'))] as const
  await opened[0].alive()
  return { ...s, opened }
}

test('records of sessions that are closed together are counted by metrics until they are made', async () => {
  await using s = await three()
  // Nothing that is left for a later turn is done meanwhile.
  vi.useFakeTimers({ toFake: ['setImmediate', 'clearImmediate'] })
  try {
    expect((await ask(s, 'DELETE', '/sessions?destination=partner')).json).toEqual({ closed: 3 })
    // The turn in which all are cut.
    vi.advanceTimersToNextTimer()
    expect(await s.gateway.metric('sallyport_audit_records_waiting')).toBe(3)
    expect(await s.gateway.metric('sallyport_audit_oldest_wait_seconds')).toBeGreaterThan(0)
    vi.runAllTimers()
    expect(await s.gateway.metric('sallyport_audit_records_waiting')).toBe(0)
  } finally {
    vi.runAllTimers()
    vi.useRealTimers()
  }
  await s.gateway.closed(3)
})

describe('GET /sessions', () => {
  test('shows who, to what, by which proof and how far', async () => {
    await using s = await three()
    const answer = await ask(s, 'GET', '/sessions')
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ total: 3, next: null })
    expect(sessionsOf(answer)[0]).toMatchObject({
      ...{ listener: 'proxy', workload: 'spiffe://example.org/a', network: null, credential: 'certificate' },
      ...{ destination: 'partner', requested: { host: 'partner.test', port: s.partner.port } },
      ...{ serialNumber: expect.stringMatching(/^[0-9a-f]+$/), tokenId: null, source: { ip: '127.0.0.1' } },
      upstream: { address: `127.0.0.1:${s.partner.port}`, nameProof: 'certificate' },
      bytes: { sent: 4, received: 4 },
    })
    expect(answer.body).not.toMatch(/PRIVATE KEY|BEGIN/)
  })

  test.for<[string, number]>([
    ['workload=spiffe://example.org/a', 2],
    ['workload=spiffe://example.org/*', 3],
    ['workload=spiffe://example.org/c', 0],
    ['destination=partner', 3],
    ['destination=other', 0],
    ['listener=proxy&workload=spiffe://example.org/b', 1],
    ['network=legacy', 0],
    ['minBytes=8', 1],
    ['minBytes=1KiB', 0],
    ['olderThan=0s', 3],
    ['olderThan=1h', 0],
  ])('?%s finds %i', async ([query, count]) => {
    await using s = await three()
    await expect.poll(async () => sessionsOf(await ask(s, 'GET', `/sessions?${query}`)).length).toBe(count)
  })

  test('gives them page by page', async () => {
    await using s = await three()
    const first = await ask(s, 'GET', '/sessions?limit=2')
    expect(sessionsOf(first)).toHaveLength(2)
    const second = await ask(s, 'GET', `/sessions?limit=2&after=${String(first.json['next'])}`)
    expect(second.json).toMatchObject({ total: 3, next: null })
    const ids = [...sessionsOf(first), ...sessionsOf(second)].map(({ id }) => id)
    expect(new Set(ids).size).toBe(3)
  })

  test.for([
    'colour=red',
    'olderThan=soon',
    'minBytes=-1',
    'workload=x',
    'limit=0',
    'destination=a&destination=b',
    'listener=',
  ])('?%s is an error', async (query) => {
    await using s = await scene()
    const answer = await ask(s, 'GET', `/sessions?${query}`)
    expect(answer.status).toBe(400)
    expect(answer.json['detail']).toContain(query.split('=')[0])
  })
})

describe('DELETE /sessions', () => {
  test('closes one by its id, and says who did it', async () => {
    await using s = await three()
    const list = sessionsOf(await ask(s, 'GET', '/sessions'))
    expect((await ask(s, 'DELETE', `/sessions/${list[0]?.id}`)).json).toEqual({ closed: 1 })
    expect((await s.opened[0].ending).how).toBe('reset')
    expect(await outcome(s)).toMatchObject({
      ...{ code: 'session-closed-by-operator', by: 'gateway', detail: 'by an operator on loopback' },
    })
    await s.opened[1].alive()
    expect((await ask(s, 'DELETE', `/sessions/${list[0]?.id}`)).status).toBe(404)
  })

  test('an id beside a filter closes nothing, whether they agree or not', async () => {
    await using s = await three()
    const [session] = sessionsOf(await ask(s, 'GET', '/sessions'))
    for (const filter of ['destination=other', 'destination=partner']) {
      const answer = await ask(s, 'DELETE', `/sessions/${session?.id}?${filter}`)
      expect(answer.status).toBe(400)
      expect(answer.json['detail']).toContain('an id and filters')
    }
    expect((await ask(s, 'GET', '/sessions')).json['total']).toBe(3)
  })

  test('closes those of a workload and no others', async () => {
    await using s = await three()
    expect((await ask(s, 'DELETE', '/sessions?workload=spiffe://example.org/a')).json).toEqual({ closed: 2 })
    expect((await s.opened[0].ending).how).toBe('reset')
    expect((await s.opened[1].ending).how).toBe('reset')
    await s.opened[2].alive()
  })

  test.for(['', '?', '?limit=5', '?colour=red'])('%s closes nothing', async (query) => {
    await using s = await three()
    expect((await ask(s, 'DELETE', `/sessions${query}`)).status).toBe(400)
    for (const one of s.opened) await one.alive()
  })

  test.for<[string, http.OutgoingHttpHeaders]>([
    ['by a rebound name', { host: 'attacker.example:9901' }],
    ['from another origin', { origin: 'https://attacker.example' }],
    ['from a page without origin', { origin: 'null' }],
    ['from another site', { 'sec-fetch-site': 'cross-site' }],
    ['from a neighbouring site', { 'sec-fetch-site': 'same-site' }],
  ])('%s is refused', async ([, headers]) => {
    await using s = await three()
    expect((await ask(s, 'DELETE', '/sessions?destination=partner', headers)).status).toBe(403)
    expect((await ask(s, 'GET', '/sessions', headers)).status).toBe(403)
    for (const one of s.opened) await one.alive()
  })
})

describe('with admin.workloads', () => {
  const withTls = async () => {
    const s = await scene({ adminWorkloads: 'spiffe://example.org/sallyport/admin/**', revocations: '[]' })
    return { ...s, session: await s.open(await s.svid('/a')) }
  }

  test('a workload that is named lists and closes, and stands in the record', async () => {
    await using s = await withTls()
    const admin = await s.svid('/sallyport/admin/alice')
    expect(sessionsOf(await ask(s, 'GET', '/sessions', {}, admin))).toHaveLength(1)
    expect((await ask(s, 'DELETE', '/sessions?destination=partner', {}, admin)).json).toEqual({ closed: 1 })
    expect((await s.session.ending).how).toBe('reset')
    expect((await outcome(s))?.detail).toBe('by spiffe://example.org/sallyport/admin/alice')
  })

  test.for<[string, (s: Scene) => Promise<Issued | null>]>([
    ['another workload', (s) => s.svid('/a')],
    ['a workload whose name only begins so', (s) => s.svid('/sallyport/administrator')],
    ['the gateway itself', (s) => s.svid('/sallyport/gateway')],
    ['nobody', async () => null],
    [
      'an SVID of another CA',
      (s) => s.world.partnerCa.issue({ uris: ['spiffe://example.org/sallyport/admin/alice'] }),
    ],
    [
      'an SVID that has expired',
      (s) => s.svid('/sallyport/admin/alice', { notAfter: new Date(Date.now() - 1_000) }),
    ],
  ])('%s is refused', async ([, who]) => {
    await using s = await withTls()
    const svid = await who(s)
    for (const at of ['/sessions', '/metrics', '/config', '/']) {
      expect((await ask(s, 'GET', at, {}, svid)).status).toBe(403)
    }
    expect((await ask(s, 'DELETE', '/sessions?destination=partner', {}, svid)).status).toBe(403)
    await s.session.alive()
  })

  test('one that is revoked is refused, and so is a page of another origin', async () => {
    await using s = await withTls()
    const admin = await s.svid('/sallyport/admin/alice')
    expect((await ask(s, 'GET', '/sessions', { origin: 'https://attacker.example' }, admin)).status).toBe(403)
    await s.world.file(
      'revocations.yaml',
      '- {workload: spiffe://example.org/sallyport/admin/alice, reason: left}',
    )
    await expect.poll(async () => (await ask(s, 'GET', '/sessions', {}, admin)).status).toBe(403)
  })

  test('plain HTTP gets no answer', async () => {
    await using s = await withTls()
    await expect(ask(s, 'GET', '/metrics')).rejects.toThrow()
  })
})

describe('sallyport sessions', () => {
  const run = async (...args: string[]) => {
    await using command = startSallyport(['sessions', ...args])
    return { code: await command.exited, out: command.stdout(), err: command.stderr() }
  }

  test('lists as table and as JSON, closes by filter, and demands one', async () => {
    await using s = await three()
    const admin = ['--admin', `http://127.0.0.1:${s.gateway.portOf('admin')}`]
    const listed = await run('list', ...admin, '--workload', 'spiffe://example.org/a')
    expect(listed.code).toBe(0)
    expect(listed.out.split('\n')[0]).toMatch(/^ID +AGE +IDLE +SENT +RECEIVED +WHO +DESTINATION +UPSTREAM$/)
    expect(listed.out.match(/spiffe:\/\/example\.org\/a +partner/g)).toHaveLength(2)
    expect((await run('close', ...admin)).code).toBe(2)
    expect(await run('close', ...admin, '--workload', 'spiffe://example.org/b', '--json')).toMatchObject({
      ...{ code: 0, out: '{"closed":1}\n' },
    })
    expect((await s.opened[2].ending).how).toBe('reset')
    const left = JSON.parse((await run('list', ...admin, '--json')).out) as { sessions: { id: string }[] }
    expect(left.sessions).toHaveLength(2)
    expect((await run('close', ...admin, left.sessions[0]?.id ?? '')).out).toBe('1 closed\n')
    expect(await run('close', ...admin, 'nobody')).toMatchObject({
      code: 1,
      err: expect.stringContaining('404'),
    })
  })

  test('by mTLS takes the gateway by its SPIFFE ID alone', async () => {
    await using s = await scene({ adminWorkloads: 'spiffe://example.org/sallyport/admin/**' })
    await s.open(await s.svid('/a'))
    const { chainPem, keyPem } = await s.svid('/sallyport/admin/alice')
    const files = {
      cert: await s.world.file('admin.pem', chainPem),
      key: await s.world.file('admin.key', keyPem),
      ca: path.join(s.world.directory, 'pki/bundle.pem'),
    }
    const tls = Object.entries(files).flatMap(([name, file]) => [`--${name}`, file])
    const admin = ['--admin', `https://127.0.0.1:${s.gateway.portOf('admin')}`]
    expect(await run('list', ...admin, ...tls)).toMatchObject({
      code: 0,
      out: expect.stringContaining('/a '),
    })
    const other = await run('list', ...admin, ...tls, '--gateway-id', 'spiffe://example.org/sallyport/other')
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining('was expected') })
    expect((await run('list', ...admin)).code).toBe(2)
  })
})
