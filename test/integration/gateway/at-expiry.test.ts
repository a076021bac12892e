// What the end of an SVID means for the sessions that were opened with it. The gateway's clock is the test's.
import { describe, expect, test } from 'vitest'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { FRAME, RawH2 } from '../../fixtures/h2-raw.ts'
import { outcome, scene } from './living-scene.ts'

const MINUTE = 60_000

async function timed(atExpiry: string) {
  const start = Date.now()
  let now = start
  const s = await scene({ more: `    session: {atExpiry: ${atExpiry}}\n`, now: () => new Date(now) })
  return {
    ...s,
    /** Of a workload, good until so many minutes after the start. */
    until: (minutes: number, name = '/a') => s.svid(name, { notAfter: new Date(start + minutes * MINUTE) }),
    /** The clock goes to so many minutes after the start, and a moment. */
    at(minutes: number) {
      now = start + minutes * MINUTE + 500
    },
    judged: () => s.gateway.metric('sallyport_sessions_judged_again_total'),
  }
}

describe('atExpiry: renewed', () => {
  test('closes a session whose workload has shown no newer SVID', async () => {
    await using s = await timed('renewed')
    const open = await s.open(await s.until(30))
    const other = await s.open(await s.until(60, '/b'))
    s.at(30)
    expect((await open.ending).how).toBe('reset')
    expect(await outcome(s)).toMatchObject({ code: 'session-svid-expired', by: 'gateway' })
    await other.alive()
  })

  test('lets it live on while a newer one was shown within ten minutes, and no longer', async () => {
    await using s = await timed('renewed')
    const open = await s.open(await s.until(30))
    const renewed = await s.until(120)
    s.at(29)
    ;(await s.open(renewed)).close()
    s.at(30)
    await expect.poll(s.judged).toBe(1)
    await open.alive()
    s.at(36)
    ;(await s.open(renewed)).close()
    s.at(40)
    await expect.poll(s.judged).toBe(2)
    await open.alive()
    await s.gateway.closed(2)
    s.at(47)
    expect((await open.ending).how).toBe('reset')
    expect((await s.gateway.closed(3))[2]?.outcome).toMatchObject({ code: 'session-svid-expired' })
  })

  test.for<[string, number, string]>([
    ['the same SVID again', 30, '/a'],
    ['an older SVID', 29.9, '/a'],
    ['a newer SVID of another workload', 120, '/b'],
  ])('takes %s for no renewal', async ([, minutes, name]) => {
    await using s = await timed('renewed')
    const open = await s.open(await s.until(30))
    s.at(29)
    const other = await s.open(await s.until(minutes, name))
    other.close()
    await s.gateway.closed(1)
    s.at(30)
    expect((await open.ending).how).toBe('reset')
    expect((await s.gateway.closed(2))[1]?.outcome.code).toBe('session-svid-expired')
  })

  test('takes an SVID that is revoked for no renewal', async () => {
    const start = Date.now()
    let now = start
    await using s = await scene({
      now: () => new Date(now),
      revocations: '[]',
      more: '    session: {atExpiry: renewed}\n',
    })
    const open = await s.open(await s.svid('/a', { notAfter: new Date(start + 30 * MINUTE) }))
    const renewed = await s.svid('/a', { notAfter: new Date(start + 120 * MINUTE) })
    const serial = renewed.certificate.serialNumber.toLowerCase()
    await s.world.file(
      'revocations.yaml',
      `- {serialNumber: "${serial.padStart(serial.length + (serial.length % 2), '0')}", reason: x}`,
    )
    await expect.poll(() => s.gateway.metric('sallyport_revocations_entries')).toBe(1)
    now = start + 29 * MINUTE
    const target = `partner.test:${s.partner.port}`
    expect((await connect(s.world, s.gateway.port, { svid: renewed, target })).status).toBe(403)
    now = start + 30 * MINUTE + 500
    expect((await open.ending).how).toBe('reset')
  })
})

test('atExpiry: close ends it whatever was shown', async () => {
  await using s = await timed('close')
  const open = await s.open(await s.until(30))
  s.at(29)
  const renewed = await s.open(await s.until(120))
  s.at(30)
  expect((await open.ending).how).toBe('reset')
  expect(await outcome(s)).toMatchObject({ code: 'session-svid-expired', by: 'gateway' })
  await renewed.alive()
})

test('atExpiry: keep lets it live, and the HTTP/2 connection takes no new tunnel', async () => {
  await using s = await timed('keep')
  const svid = await s.until(30)
  const open = await s.open(svid)
  const h2 = new RawH2(await connectTls(s.world, s.gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } }))
  h2.connect(1, `partner.test:${s.partner.port}`)
  await expect.poll(() => h2.isConnected(1)).toBe(true)
  expect(h2.goAwayCode()).toBe(null)
  s.at(30)
  await expect.poll(() => h2.goAwayCode()).toBe(0)
  await open.alive()
  expect(s.gateway.records()).toEqual([])
})

test.for<[string, boolean]>([
  ['renewed', true],
  ['renewed', false],
  ['close', true],
])(
  'atExpiry: %s, a newer SVID shown: %s: the HTTP/2 connection takes no new tunnel',
  async ([atExpiry, shown]) => {
    await using s = await timed(atExpiry)
    const svid = await s.until(30)
    const h2 = new RawH2(await connectTls(s.world, s.gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } }))
    const target = `partner.test:${s.partner.port}`
    h2.connect(1, target)
    await expect.poll(() => h2.isConnected(1)).toBe(true)
    s.at(29)
    if (shown) await s.open(await s.until(120))
    expect(h2.goAwayCode()).toBe(null)
    s.at(30)
    await expect.poll(() => h2.goAwayCode()).toBe(0)
    if (atExpiry === 'renewed' && shown) {
      h2.send(FRAME.DATA, 0, 1, 'goes on')
      await expect.poll(() => h2.data(1).toString()).toBe('goes on')
    } else await expect.poll(() => h2.resetCode(1)).not.toBe(null)
    const accepted = s.partner.accepted()
    h2.connect(3, target)
    expect(await connect(s.world, s.gateway.port, { svid: await s.until(120), target })).toMatchObject({
      status: 200,
    })
    expect(s.partner.accepted()).toBe(accepted + 1)
  },
)
