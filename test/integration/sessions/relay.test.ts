import { createHash, randomBytes } from 'node:crypto'
import type net from 'node:net'
import { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import type { Cutting } from '../../../gateway/sessions/cutting.ts'
import { type Relay, type RelayOptions, startRelay } from '../../../gateway/sessions/relay.ts'
import type { RelaySide } from '../../../gateway/sessions/tunnel.ts'
import { connectedPair, type Pair, readToEnding } from '../../fixtures/sockets.ts'

function side(socket: net.Socket): RelaySide {
  return {
    stream: socket,
    end: () => socket.end(),
    reset: () => socket.resetAndDestroy(),
    endIsReal: () => true,
    closeIsClean: () => socket.writableFinished,
  }
}

interface Pairs {
  readonly downstream: Pair
  readonly upstream: Pair
}

async function relayed(options: Partial<RelayOptions> = {}, before?: (pairs: Pairs) => Promise<void>) {
  const downstream = await connectedPair()
  const upstream = await connectedPair()
  await before?.({ downstream, upstream })
  const relay: Relay = startRelay(side(downstream.near), side(upstream.near), {
    idleTimeoutMs: 60_000,
    halfCloseTimeoutMs: 60_000,
    maxDurationMs: null,
    now: () => performance.now(),
    judgeUpstreamError: () => 'relay-upstream-reset',
    ...options,
  })
  return {
    relay,
    client: downstream.far,
    server: upstream.far,
    async [Symbol.asyncDispose]() {
      await downstream[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

describe('relay', () => {
  test('moves bytes both ways, keeps half-close, and says who ended first', async () => {
    await using session = await relayed()
    const { client, server, relay } = session
    client.end('ping')
    const seenByServer = await readToEnding(server)
    expect(seenByServer).toMatchObject({ how: 'end', data: Buffer.from('ping') })
    // The client's direction is over; the server's must still be open.
    server.write('late ')
    server.end('answer')
    expect(await readToEnding(client)).toMatchObject({ how: 'end', data: Buffer.from('late answer') })
    expect(await relay.done).toEqual({ code: 'closed', by: 'client', detail: null })
    expect(relay.bytes).toEqual({ sent: 4, received: 11 })
  })

  test.for<['downstream' | 'upstream', string]>([
    ['downstream', 'relay-client-reset'],
    ['upstream', 'relay-upstream-reset'],
  ])('a %s side that is gone before there is a relay ends it as a loss', async ([which, code]) => {
    await using session = await relayed({}, async (pairs) => {
      const { near } = pairs[which]
      near.destroy()
      await new Promise((resolve) => near.once('close', resolve))
    })
    expect(await session.relay.done).toMatchObject({ code })
  })

  test.for<['downstream' | 'upstream', string]>([
    ['downstream', 'relay-client-reset'],
    ['upstream', 'relay-upstream-reset'],
  ])(
    'what a %s side had said, and nobody read before it was gone, is not passed on',
    async ([which, code]) => {
      await using session = await relayed({}, async (pairs) => {
        const { near, far } = pairs[which]
        far.write('half of it')
        await new Promise((resolve) => near.once('readable', resolve))
        near.destroy()
        await new Promise((resolve) => near.once('close', resolve))
      })
      const { relay, client, server } = session
      const other = await readToEnding(which === 'downstream' ? server : client)
      expect([other.how, other.data.toString()]).toEqual(['reset', ''])
      expect(await relay.done).toMatchObject({ code })
      expect(relay.bytes).toEqual({ sent: 0, received: 0 })
    },
  )

  test.for(['downstream', 'upstream'] as const)(
    'what the %s side had said with its end before there is a relay arrives, with the end behind it',
    async (which) => {
      await using session = await relayed({}, async (pairs) => {
        const { near, far } = pairs[which]
        far.end('all of it')
        await new Promise((resolve) => near.once('readable', resolve))
      })
      const { client, server, relay } = session
      const [one, other] = which === 'downstream' ? [client, server] : [server, client]
      expect(await readToEnding(other)).toMatchObject({ how: 'end', data: Buffer.from('all of it') })
      other.end()
      expect((await readToEnding(one)).how).toBe('end')
      expect(await relay.done).toMatchObject({ code: 'closed' })
    },
  )

  test.for(['downstream', 'upstream'] as const)(
    'an end on the %s side before there is a relay counts',
    async (which) => {
      await using session = await relayed({}, async (pairs) => {
        const { near, far } = pairs[which]
        far.end()
        await readToEnding(near)
      })
      const { client, server, relay } = session
      const other = which === 'downstream' ? server : client
      expect((await readToEnding(other)).how).toBe('end')
      other.end('still heard')
      const ended = await readToEnding(which === 'downstream' ? client : server)
      expect(ended).toMatchObject({ how: 'end', data: Buffer.from('still heard') })
      expect(await relay.done).toMatchObject({ code: 'closed' })
    },
  )

  test('a reset by the server is a reset for the client, never a clean end', async () => {
    await using session = await relayed()
    const { client, server, relay } = session
    server.write('half an answer')
    await new Promise((resolve) => client.once('readable', resolve))
    const ending = readToEnding(client)
    server.resetAndDestroy()
    expect((await ending).how).toBe('reset')
    expect(await relay.done).toMatchObject({ code: 'relay-upstream-reset', by: 'upstream' })
  })

  test('a reset by the client is a reset for the server', async () => {
    await using session = await relayed()
    const { client, server, relay } = session
    client.write('x')
    await new Promise((resolve) => server.once('readable', resolve))
    const ending = readToEnding(server)
    client.resetAndDestroy()
    expect((await ending).how).toBe('reset')
    expect(await relay.done).toMatchObject({ code: 'relay-client-reset', by: 'client' })
  })

  test('a reset after the other side has ended is still a reset', async () => {
    await using session = await relayed()
    const { client, server, relay } = session
    client.end('request')
    await readToEnding(server)
    const ending = readToEnding(client)
    server.write('half an answer')
    await expect.poll(() => relay.bytes.received).toBeGreaterThan(0)
    server.resetAndDestroy()
    expect((await ending).how).toBe('reset')
    expect(await relay.done).toMatchObject({ code: 'relay-upstream-reset' })
  })

  test('a reader that does not read stops the writer, and nothing is lost when it reads again', async () => {
    await using session = await relayed()
    const { client, server, relay } = session
    const payload = randomBytes(32 * 1024 * 1024)
    server.end(payload)
    // The client does not read: what the relay takes from the server is bounded by kernel and stream buffers.
    let before = -1
    await expect
      .poll(() => {
        const stalled = relay.bytes.received > 0 && relay.bytes.received === before
        before = relay.bytes.received
        return stalled
      })
      .toBe(true)
    expect(relay.bytes.received).toBeLessThan(payload.length)
    client.end()
    const { data, how } = await readToEnding(client)
    expect(how).toBe('end')
    expect(createHash('sha256').update(data).digest('hex')).toBe(
      createHash('sha256').update(payload).digest('hex'),
    )
    expect((await relay.done).code).toBe('closed')
  })

  test.for<[string, Partial<RelayOptions>, (client: net.Socket, server: net.Socket) => void, string]>([
    ['no byte for idleTimeout', { idleTimeoutMs: 50 }, () => {}, 'relay-idle-timeout'],
    [
      'one side ended and the other is silent for halfCloseTimeout',
      { halfCloseTimeoutMs: 50 },
      (client) => client.end('bye'),
      'relay-half-close-timeout',
    ],
    ['maxDuration is over, whatever moves', { maxDurationMs: 50 }, () => {}, 'relay-max-duration'],
  ])('ends with a reset on both sides when %s', async ([, options, act, code]) => {
    await using session = await relayed(options)
    const { client, server, relay } = session
    const endings = [readToEnding(client)]
    server.resume()
    act(client, server)
    expect(await relay.done).toEqual({ code, by: 'gateway', detail: null })
    expect((await Promise.all(endings)).map(({ how }) => how)).toEqual(['reset'])
  })

  test('closing from outside resets both sides and is reported once', async () => {
    await using session = await relayed()
    const { client, server, relay } = session
    const endings = Promise.all([readToEnding(client), readToEnding(server)])
    relay.close('session-drained')
    relay.close('relay-idle-timeout')
    expect((await endings).map(({ how }) => how)).toEqual(['reset', 'reset'])
    expect(await relay.done).toEqual({ code: 'session-drained', by: 'gateway', detail: null })
  })

  test('what is cut from outside moves no byte any more, though its service is reset later', async () => {
    const left: Parameters<Cutting['rest']>[] = []
    await using session = await relayed({ cutting: { rest: (...rest) => left.push(rest) } })
    const { client, server, relay } = session
    client.write('before')
    while (relay.bytes.sent < 6) await new Promise((resolve) => setImmediate(resolve))
    client.write('in vain')
    expect(relay.close('session-drained')).toBe(true)
    expect(relay.close('policy-denied')).toBe(false)
    server.write('in vain')
    expect(await readToEnding(client)).toMatchObject({ how: 'reset', data: Buffer.alloc(0) })
    const [reset, end] = left[0] ?? []
    const ended = readToEnding(server)
    expect(await Promise.race([relay.done, ended, Promise.resolve('neither')])).toBe('neither')
    reset?.()
    expect(await ended).toMatchObject({ how: 'reset', data: Buffer.from('before') })
    end?.()
    expect(await relay.done).toEqual({ code: 'session-drained', by: 'gateway', detail: null })
    expect(relay.bytes).toEqual({ sent: 6, received: 0 })
    expect(left).toHaveLength(1)
  })
})

test('a slow reader holds few chunks, however small they are, and gets all of them in order', async () => {
  const taken: Buffer[] = []
  const unfinished: (() => void)[] = []
  const mark = { highWaterMark: 1024 * 1024 }
  const sink = new Duplex({
    ...mark,
    read: () => {},
    write(chunk: Buffer, _encoding, done) {
      taken.push(chunk)
      unfinished.push(done)
    },
  })
  const source = new Duplex({ ...mark, read: () => {}, write: (_chunk, _encoding, done) => done() })
  const sideOf = (stream: Duplex): RelaySide => ({
    stream,
    end: () => stream.end(),
    reset: () => stream.destroy(),
    endIsReal: () => true,
    closeIsClean: () => true,
  })
  const relay = startRelay(sideOf(source), sideOf(sink), {
    idleTimeoutMs: 60_000,
    halfCloseTimeoutMs: 60_000,
    maxDurationMs: null,
    now: () => performance.now(),
    judgeUpstreamError: () => 'relay-upstream-reset',
  })
  const bytes = randomBytes(2000)
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  await turn()
  for (const byte of bytes) source.push(Buffer.of(byte))
  await turn()
  expect(sink.writableLength).toBeLessThanOrEqual(256)
  while (taken.length < bytes.length) {
    unfinished.shift()?.()
    await turn()
    expect(sink.writableLength).toBeLessThanOrEqual(256)
  }
  expect(Buffer.concat(taken)).toEqual(bytes)
  relay.close('session-drained')
})

test.for<[string, (socket: net.Socket) => RelaySide]>([
  ['a socket itself', (socket) => ({ ...side(socket), chunks: 'both' })],
  ['a stream that takes a chunk long before it is done with it', heldBack],
])('chunks arrive as they were through %s', async ([, sideOf]) => {
  await using downstream = await connectedPair()
  await using upstream = await connectedPair()
  startRelay({ ...side(downstream.near), chunks: 'both' }, sideOf(upstream.near), {
    idleTimeoutMs: 60_000,
    halfCloseTimeoutMs: 60_000,
    maxDurationMs: null,
    now: () => performance.now(),
    judgeUpstreamError: () => 'relay-upstream-reset',
  })
  const bytes = randomBytes(8 * 1024 * 1024)
  downstream.far.end(bytes)
  const { how, data } = await readToEnding(upstream.far)
  expect(how).toBe('end')
  expect(createHash('sha256').update(data).digest('hex')).toBe(
    createHash('sha256').update(bytes).digest('hex'),
  )
})

/** As a translator of startTls may: what it took waits in a queue of its own. */
function heldBack(socket: net.Socket): RelaySide {
  const stream = new Duplex({
    read: () => {},
    write(chunk: Buffer, _encoding, done) {
      setImmediate(() => socket.write(chunk))
      done()
    },
    final(done) {
      setImmediate(() => socket.end(() => done()))
    },
  })
  return { ...side(socket), stream, end: () => stream.end(), closeIsClean: () => stream.writableFinished }
}
