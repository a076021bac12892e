// A CancelRequest reaches the very endpoint of the session that it means, by the rules of who asks, or nobody.
import { once } from 'node:events'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import type { OpenUpstream, UpstreamConnection, UpstreamRequest } from '../../../gateway/upstream/types.ts'
import { parseSpiffeId } from '../../../spiffe/id.ts'
import {
  type FakePostgres,
  type FakePostgresOptions,
  startFakePostgres,
} from '../../fixtures/postgres-server.ts'
import * as wire from '../../fixtures/postgres-wire.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { clientCertificate, createPki, opened, type Pki, request } from './harness.ts'

const OTHER = parseSpiffeId('spiffe://example.org/reports')
const KEY = wire.key(4711, Buffer.from('5ec2e7a1', 'hex'))
const LONG_KEY = wire.key(4712, Buffer.alloc(256, 0xab))

let pki: Pki
let postgres: Partial<Destination>
/** Where the next look-up leads. */
let leadsTo: string
let open: OpenUpstream

beforeAll(async () => {
  pki = await createPki()
  const reports = await pki.clients.issue({ cn: 'reports' })
  postgres = {
    startTls: 'postgres',
    roots: [pki.servers.pem],
    clientCertificates: [clientCertificate(pki.client), clientCertificate(reports, OTHER.uri)],
  }
})
beforeEach(() => {
  open = createOpenUpstream({ resolve: async () => [leadsTo], dial: createDial() })
})

/** Two servers behind one name and port. */
async function setUp(key: Buffer = KEY, onSession?: FakePostgresOptions['onSession']) {
  const told = onSession === undefined ? {} : { onSession }
  const options = { ...told, key, requestCert: true, rejectUnauthorized: true, ca: pki.clients.pem }
  const one = await startFakePostgres(pki.server, { ...options, host: '127.0.0.2' })
  const two = await startFakePostgres(pki.server, { ...options, host: '127.0.0.3', port: one.port })
  return {
    ...{ one, two },
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
    },
  }
}

/** A session of the first server that has its key. */
async function live({ port }: FakePostgres, more: Partial<Destination> = {}) {
  leadsTo = '127.0.0.2'
  const connection = await opened(request(port, { ...postgres, ...more }), open)
  connection.stream.write(wire.STARTUP)
  connection.stream.resume()
  await once(connection.stream, 'data')
  return connection
}

interface Asked {
  readonly connection: UpstreamConnection
  readonly how: 'end' | 'reset'
  readonly codes: readonly string[]
}

async function ask(wanted: UpstreamRequest, key: Buffer): Promise<Asked> {
  const connection = await open(wanted)
  const codes: string[] = []
  connection.stream.on('error', (error) => codes.push(connection.judgeLateError(error)))
  const ending = readToEnding(connection.stream)
  connection.stream.write(wire.cancelRequest(key))
  const { how } = await ending
  connection.raw.destroy()
  return { connection, how, codes }
}

const nothing = (server: FakePostgres) => server.told().every((told) => told.length === 0)

describe('a CancelRequest', () => {
  test.each([
    ['of four bytes', KEY],
    ['of 256 bytes', LONG_KEY],
  ])('with a secret %s goes to the endpoint of its session, by the asker’s certificate', async (_, key) => {
    await using place = await setUp(key)
    await using _session = await live(place.one)
    leadsTo = '127.0.0.3'
    const { connection, how } = await ask(request(place.one.port, postgres, { workload: OTHER }), key)
    expect(how).toBe('end')
    expect(place.one.told()).toEqual([wire.STARTUP, wire.cancelRequest(key)])
    expect(place.one.clients).toEqual(['payments', 'reports'])
    expect(place.one.first).toEqual([wire.SSL_REQUEST, wire.SSL_REQUEST])
    expect(nothing(place.two)).toBe(true)
    expect(connection.facts).toMatchObject({ address: `127.0.0.2:${place.one.port}`, attempts: 2 })
    await expect.poll(() => place.two.connections()).toBe(0)
  })

  test('uses its own connection where that is at the right endpoint already', async () => {
    await using place = await setUp()
    await using _session = await live(place.one)
    const { connection, how } = await ask(request(place.one.port, postgres), KEY)
    expect(how).toBe('end')
    expect(place.one.told()).toEqual([wire.STARTUP, wire.cancelRequest(KEY)])
    expect(connection.facts.attempts).toBe(1)
  })

  test('takes nothing else up with it', async () => {
    await using place = await setUp()
    await using _session = await live(place.one)
    const connection = await open(request(place.one.port, postgres))
    const ending = readToEnding(connection.stream)
    const packet = wire.cancelRequest(KEY)
    connection.stream.write(Buffer.concat([packet, wire.STARTUP]))
    connection.stream.write(wire.STARTUP)
    expect((await ending).how).toBe('end')
    expect(place.one.told()).toEqual([wire.STARTUP, packet])
  })

  test.each<[string, Partial<Destination>, Partial<UpstreamRequest>, Buffer]>([
    ['of another process', {}, {}, wire.key(4712, KEY.subarray(4))],
    ['with another secret', {}, {}, wire.key(4711, Buffer.from('5ec2e7a2', 'hex'))],
    ['with the beginning of the secret', {}, {}, KEY.subarray(0, 6)],
    ['by another destination', { name: 'other' }, {}, KEY],
    ['by another host of the destination', { serverName: 'api.bank.example' }, { host: 'b.example' }, KEY],
  ])('%s is sent nowhere', async (_, more, rest, key) => {
    await using place = await setUp()
    await using _session = await live(place.one)
    leadsTo = '127.0.0.3'
    const asked = await ask(request(place.one.port, { ...postgres, ...more }, rest), key)
    expect(asked).toMatchObject({ how: 'reset', codes: ['request-cancel-unknown'] })
    expect(place.one.told()).toEqual([wire.STARTUP])
    expect(nothing(place.two)).toBe(true)
  })

  test('of a session that is over is sent nowhere', async () => {
    await using place = await setUp()
    const session = await live(place.one)
    const closed = once(session.stream, 'close')
    session.raw.destroy()
    await closed
    const asked = await ask(request(place.one.port, postgres), KEY)
    expect(asked.codes).toEqual(['request-cancel-unknown'])
    expect(place.one.told()).toEqual([wire.STARTUP, Buffer.alloc(0)])
  })

  test('does not go to an address that is no longer permitted', async () => {
    await using place = await setUp()
    await using _session = await live(place.one)
    leadsTo = '127.0.0.3'
    const asked = await ask(request(place.one.port, { ...postgres, allowAddresses: ['127.0.0.3/32'] }), KEY)
    expect(asked).toMatchObject({ how: 'reset', codes: ['address-loopback'] })
    expect(place.one.told()).toEqual([wire.STARTUP])
  })

  test('leaves nothing open when who asked goes away before the server has done it', async () => {
    await using place = await setUp(KEY, (socket, first) => {
      if (first.equals(wire.STARTUP)) socket.write(wire.greeting(KEY))
    })
    await using _session = await live(place.one)
    leadsTo = '127.0.0.3'
    const connection = await open(request(place.one.port, postgres))
    connection.stream.on('error', () => {})
    connection.stream.write(wire.cancelRequest(KEY))
    await expect.poll(() => place.one.told().at(-1)).toEqual(wire.cancelRequest(KEY))
    connection.raw.resetAndDestroy()
    await expect.poll(() => place.one.connections()).toBe(1)
  })

  test('to an endpoint that is gone ends with what dialling it gave', async () => {
    await using place = await setUp()
    await using _session = await live(place.one)
    place.one.stopListening()
    leadsTo = '127.0.0.3'
    const asked = await ask(request(place.two.port, postgres), KEY)
    expect(asked).toMatchObject({ how: 'reset', codes: ['connect-refused'] })
    expect(asked.connection.facts.address).toBe(`127.0.0.2:${place.two.port}`)
  })
})
