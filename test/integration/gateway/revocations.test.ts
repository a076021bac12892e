// What the revocation list names is refused through every listener, before policy and without a packet to the outside.
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { connect, connectTls, readBody } from '../../fixtures/connect-client.ts'
import { connectFields, FLAG, RawH2 } from '../../fixtures/h2-raw.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { LINKERD_WORKLOAD, setUp, TOKEN_WORKLOAD, WORKLOAD } from './revocations-scene.ts'

type Scene = Awaited<ReturnType<typeof setUp>>
type Listener = keyof Scene['attempts']

const serialOf = ({ svid }: Scene) => {
  const hex = svid.certificate.serialNumber.toLowerCase()
  return hex.length % 2 === 0 ? hex : `0${hex}`
}

/** Until the gateway has the list: each replacement is counted. */
async function replace(scene: Scene, text: string) {
  const before = await scene.gateway.metric('sallyport_reloads_total')
  await scene.revoke(text)
  await expect.poll(() => scene.gateway.metric('sallyport_reloads_total')).toBe(before + 1)
}

describe('revoked while the gateway runs, with the entry and its reason in the record alone:', () => {
  test.for<[string, Listener, (scene: Scene) => string, string, number | 'reset']>([
    ['a workload over HTTP/1.1', 'h1', () => `workload: "${WORKLOAD}"`, 'revoked-workload', 403],
    [
      'a certificate over HTTP/1.1',
      'h1',
      (s) => `serialNumber: "${serialOf(s)}"`,
      'revoked-certificate',
      403,
    ],
    ['a destination over HTTP/1.1', 'h1', () => 'destination: partner', 'revoked-destination', 403],
    ['a token', 'token', () => 'tokenId: token-1', 'revoked-token', 403],
    ['the workload of a token', 'token', () => `workload: "${TOKEN_WORKLOAD}"`, 'revoked-workload', 403],
    ['a certificate on hbone', 'mesh', (s) => `serialNumber: "${serialOf(s)}"`, 'revoked-certificate', 403],
    [
      'workloads by a pattern on sni',
      'names',
      () => 'workload: "spiffe://example.org/payments/*"',
      'revoked-workload',
      'reset',
    ],
    ['a destination on fixed', 'bank', () => 'destination: partner', 'revoked-destination', 'reset'],
    ['a workload on fixed', 'bank', () => 'workload: "spiffe://example.org/**"', 'revoked-workload', 'reset'],
    ['a workload of Linkerd', 'l5d', () => `workload: "${LINKERD_WORKLOAD}"`, 'revoked-workload', 'reset'],
    ['a destination on passthrough', 'raw', () => 'destination: through', 'revoked-destination', 'reset'],
  ])('%s', async ([, listener, selector, code, answer]) => {
    await using scene = await setUp()
    expect(await scene.attempts[listener]()).toBe(200)
    const dialled = scene.partner.accepted()
    await replace(scene, `- {${selector(scene)}, reason: "stolen, INC-7"}`)
    expect(await scene.attempts[listener]()).toBe(answer)
    const record = (await scene.gateway.closed(2))[1]
    expect(record).toMatchObject({
      decision: null,
      upstream: null,
      outcome: { code, by: 'gateway', detail: expect.stringMatching(/: stolen, INC-7$/) },
    })
    expect(scene.partner.accepted()).toBe(dialled)
    await replace(scene, '[]')
    expect(await scene.attempts[listener]()).toBe(200)
  })
})

test('each tunnel of an HTTP/2 connection is judged by the list as it is then, and open ones end', async () => {
  await using scene = await setUp()
  await using client = await scene.hbone()
  const first = await client.connect({ authority: scene.target })
  expect(first.status).toBe(200)
  const ending = readToEnding(first.stream)
  await replace(scene, `- {serialNumber: "${serialOf(scene)}", reason: x}`)
  expect((await client.connect({ authority: scene.target })).status).toBe(403)
  expect((await ending).how).toBe('reset')
  await replace(scene, '[]')
  expect((await client.connect({ authority: scene.target })).status).toBe(200)
})

test('each CONNECT of an HTTP/2 connection of curl’s kind too', async () => {
  await using scene = await setUp(`- {workload: "${WORKLOAD}", reason: x}`)
  const { svid, world, gateway, target } = scene
  const socket = await connectTls(world, gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } })
  const client = new RawH2(socket)
  client.headers(1, connectFields(target), FLAG.END_HEADERS)
  await expect.poll(() => gateway.records().length).toBe(1)
  await replace(scene, '[]')
  client.headers(3, connectFields(target), FLAG.END_HEADERS)
  await expect.poll(() => gateway.events().some(({ event }) => event === 'session.opened')).toBe(true)
  socket.destroy()
  const records = await gateway.closed(2)
  expect(records.map(({ outcome }) => outcome.code)[0]).toBe('revoked-workload')
})

test('nobody can tell a revocation from a denial, nor from a destination that is not there', async () => {
  await using scene = await setUp(`- {workload: "${WORKLOAD}", reason: x}\n- {tokenId: never, reason: x}`)
  const { world, gateway, svid, target } = scene
  const denied = await world.svid('/denied')
  const other = await world.svid('/other')
  const answers: string[] = []
  for (const [shown, to] of [
    [svid, target],
    [svid, 'elsewhere.test:443'],
    [denied, target],
    [other, 'elsewhere.test:443'],
  ] as const) {
    const answered = await connect(world, gateway.port, { svid: shown, target: to })
    const said = `${answered.head}\n${await readBody(answered)}`
    answers.push(said.replace(/"session":"[0-9A-Z]{26}"/, '"session":"…"').replace(/\r\ndate: .*/i, ''))
  }
  expect(new Set(answers).size).toBe(1)
  expect(answers[0]).toMatch(/^HTTP\/1\.1 403 [\s\S]*http_request_denied/)
  const records = await gateway.closed(4)
  expect(records.map(({ outcome }) => outcome.code)).toEqual([
    'revoked-workload',
    'revoked-workload',
    'policy-denied',
    'destination-unknown',
  ])
})

test('a network is revoked by no workload, whatever the pattern', async () => {
  await using scene = await setUp('- {workload: "spiffe://example.org/**", reason: x}')
  expect(await scene.attempts.raw()).toBe(200)
})

describe('a list that is', () => {
  test.for<[string, (scene: Scene) => Promise<unknown>, RegExp]>([
    ['broken', (scene) => scene.revoke('- {workload: x'), /revocations\.yaml:\d+/],
    ['emptied', (scene) => scene.revoke(''), /expected a list/],
    ['gone', (scene) => rm(path.join(scene.world.directory, 'revocations.yaml')), /no such file/],
  ])('%s while the gateway runs is one alarm, and the last one stays', async ([, spoil, said]) => {
    await using scene = await setUp(`- {workload: "${WORKLOAD}", reason: x}`)
    const { gateway } = scene
    await spoil(scene)
    await expect
      .poll(() => gateway.metric('sallyport_reloads_total{source="revocations",result="rejected"}'))
      .toBe(1)
    expect(await scene.attempts.h1()).toBe(403)
    const age = await gateway.metric('sallyport_revocations_age_seconds')
    await expect.poll(() => gateway.metric('sallyport_revocations_age_seconds')).toBeGreaterThan(age)
    expect(await gateway.metric('sallyport_revocations_entries')).toBe(1)
    const alarms = gateway.logged.filter((line) => line.includes('the revocation list is lost'))
    expect(alarms).toEqual([expect.stringMatching(said)])
    await replace(scene, '[]')
    expect(await scene.attempts.h1()).toBe(200)
    expect(gateway.logged.join('\n')).toContain('can be read again')
  })
})
