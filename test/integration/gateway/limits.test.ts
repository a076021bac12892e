// Limits of a destination through the real listener: what is too much is refused with its reason, at once, and what is too
// fast waits unread.
import { createHash, randomBytes } from 'node:crypto'
import http2 from 'node:http2'
import { describe, expect, test } from 'vitest'
import { connect, connectTls, readBody } from '../../fixtures/connect-client.ts'
import { FRAME, RawH2 } from '../../fixtures/h2-raw.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { scene, type Scene } from './living-scene.ts'

const attempt = async (s: Scene, name: string) =>
  connect(s.world, s.gateway.port, { svid: await s.svid(name), target: `partner.test:${s.partner.port}` })

describe('live sessions', () => {
  test.for<[string, string, string, number]>([
    ['of a destination', 'sessions: 2', 'limit-sessions', 503],
    ['of a workload', 'sessionsPerWorkload: 2', 'limit-sessions-per-workload', 429],
  ])('%s are refused past the limit, and dialled no more', async ([, limit, code, status]) => {
    await using s = await scene({ more: `    limits: {${limit}}\n` })
    const first = await s.open(await s.svid('/a'))
    await s.open(await s.svid('/a'))
    const dialled = s.partner.accepted()
    const refused = await attempt(s, '/a')
    expect(refused.status).toBe(status)
    expect(refused.head).toMatch(/proxy-status: sallyport; error=connection_limit_reached\r/)
    expect(await readBody(refused)).not.toContain(code)
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      decision: { result: 'allow' },
      upstream: null,
      outcome: { code, by: 'gateway', detail: expect.stringMatching(/^partner.*: 2$/) },
    })
    expect(s.partner.accepted()).toBe(dialled)
    first.close()
    await s.gateway.closed(2)
    expect((await attempt(s, '/a')).status).toBe(200)
  })

  test('of the process are refused past what it can afford, also over one connection', async () => {
    await using s = await scene({ extra: 'drain: {delay: 0s, deadline: 1s}\narrivals: {connections: 2}' })
    const svid = await s.svid('/a')
    const h2 = new RawH2(await connectTls(s.world, s.gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } }))
    const authority = `partner.test:${s.partner.port}`
    h2.connect(1, authority)
    h2.connect(3, authority)
    await expect.poll(() => h2.isConnected(1) && h2.isConnected(3)).toBe(true)
    h2.connect(5, authority)
    await expect.poll(() => h2.of(5, FRAME.HEADERS).length).toBe(1)
    expect(h2.isConnected(5)).toBe(false)
    expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({ code: 'limit-process-sessions' })
  })
})

test('who was cut comes again at once and is not refused, though there was no more room', async () => {
  const count = 10
  await using s = await scene({ more: `    limits: {sessions: ${count}, sessionsPerWorkload: ${count}}\n` })
  const socket = await connectTls(s.world, s.gateway.port, {
    svid: await s.svid('/a'),
    tls: { ALPNProtocols: ['h2'] },
  })
  const connection = http2.connect('https://localhost', { createConnection: () => socket })
  connection.on('error', () => {})
  const headers = { ':method': 'CONNECT', ':authority': `partner.test:${s.partner.port}` }
  const open = (onClosed: () => void) =>
    new Promise<number | undefined>((resolve) => {
      const stream = connection.request(headers, { endStream: false })
      stream.on('response', ({ ':status': status }) => resolve(status))
      stream.on('error', () => {}).on('close', onClosed)
      stream.resume()
    })
  const again: Promise<number | undefined>[] = []
  const first = Array.from({ length: count }, () => open(() => again.push(open(() => {}))))
  const allowed = Array.from({ length: count }, () => 200)
  expect(await Promise.all(first)).toEqual(allowed)
  const admin = `http://127.0.0.1:${s.gateway.portOf('admin')}`
  await fetch(`${admin}/sessions?destination=partner`, { method: 'DELETE' })
  await expect.poll(() => again.length).toBe(count)
  expect(await Promise.all(again)).toEqual(allowed)
  connection.destroy()
})

test.for<[string, string, number]>([
  ['newPerSecond: 1', 'limit-new-sessions', 503],
  ['newPerSecondPerWorkload: 1', 'limit-new-sessions-per-workload', 429],
])('%s refuses those that come at once', async ([limit, code, status]) => {
  await using s = await scene({ more: `    limits: {${limit}}\n` })
  const svid = await s.svid('/a')
  const target = `partner.test:${s.partner.port}`
  const all = await Promise.all(
    Array.from({ length: 12 }, () => connect(s.world, s.gateway.port, { svid, target })),
  )
  const statuses = all.map((one) => one.status)
  expect(statuses.filter((one) => one !== 200 && one !== status)).toEqual([])
  expect(statuses).toContain(200)
  expect(statuses).toContain(status)
  for (const { socket } of all) socket.destroy()
  const codes = (await s.gateway.closed(12)).map(({ outcome }) => outcome.code)
  expect(codes).toContain(code)
})

test('what policy refuses costs nobody a beginning, is told as refused however often it comes, and has a record each', async () => {
  await using s = await scene({
    more: '    limits: {newPerSecond: 1, newPerSecondPerWorkload: 1}\n',
    policy: `@id("all") permit (principal is Workload, action, resource);
@id("not") forbid (principal == Workload::"spiffe://example.org/denied", action, resource);`,
  })
  const denied = await s.svid('/denied')
  const target = `partner.test:${s.partner.port}`
  for (let n = 0; n < 5; n += 1) {
    expect((await connect(s.world, s.gateway.port, { svid: denied, target })).status).toBe(403)
  }
  const allowed = await attempt(s, '/a')
  expect(allowed.status).toBe(200)
  allowed.socket.destroy()
  const records = await s.gateway.closed(6)
  expect(records.slice(0, 5).map(({ outcome, decision }) => [outcome.code, decision?.policies])).toEqual(
    Array.from({ length: 5 }, () => ['policy-denied', ['not']]),
  )
})

describe('bytes', () => {
  test.for(['bytesPerSecond', 'bytesPerSecondPerWorkload'])(
    'faster than %s wait unread with the client, and all arrive when they may',
    async (limit) => {
      await using s = await scene({ more: `    limits: {${limit}: 1KiB}\n` })
      const { socket } = await attempt(s, '/a')
      const sent = randomBytes(16 * 1024 * 1024)
      const received = readToEnding(socket)
      let taken = 0
      const piece = 64 * 1024
      for (let at = 0; at < sent.length; at += piece) {
        socket.write(sent.subarray(at, at + piece), () => {
          taken += piece
        })
      }
      socket.end()
      await expect.poll(() => s.gateway.metric('sallyport_sessions_throttled')).toBeGreaterThan(0)
      // Whatever the kernels hold on the way; no more is read.
      expect(taken).toBeLessThan(12 * 1024 * 1024)
      await s.gateway.change({ destinations: s.destination() })
      const { how, data } = await received
      expect(how).toBe('end')
      const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
      expect(digest(data)).toBe(digest(sent))
      expect(taken).toBe(sent.length)
      expect(await s.gateway.metric('sallyport_sessions_throttled')).toBe(0)
      expect((await s.gateway.closed(1))[0]).toMatchObject({
        bytes: { sent: sent.length, received: sent.length },
        outcome: { code: 'closed' },
      })
    },
  )
})
