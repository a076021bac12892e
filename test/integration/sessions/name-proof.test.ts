// The proof of the inner name over real sockets: behind a protocol's preamble, and what is handed to the relay.
import type net from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import { openSession } from '../../../gateway/sessions/open-session.ts'
import type { RelaySide } from '../../../gateway/sessions/tunnel.ts'
import { hello, name, record, serverName } from '../../fixtures/client-hello.ts'
import { knock } from '../../fixtures/knock-protocol.ts'
import { connectedPair, readToEnding } from '../../fixtures/sockets.ts'
import { destination } from '../upstream/harness.ts'

const HOST = 'mail.example'
const HELLO = record(hello({ extensions: [serverName(name(HOST))] }))

function side(socket: net.Socket): RelaySide {
  return {
    stream: socket,
    end: () => socket.end(),
    reset: () => socket.resetAndDestroy(),
    endIsReal: () => true,
    closeIsClean: () => socket.writableFinished,
  }
}

/** A session whose far ends the test holds. */
async function opened(overrides: Partial<Destination> = {}, timeoutMs = 60_000) {
  const downstream = await connectedPair()
  const upstream = await connectedPair()
  const facts = {
    ...{ address: null, serverName: null, nameProof: null, tlsVersion: null, cipher: null, resumed: null },
    ...{ certificateSha256: null, clientCertificateSha256: null, attempts: 1 },
  }
  const session = openSession(
    side(downstream.near),
    {
      ...{ raw: upstream.near, stream: upstream.near, facts },
      timings: { resolveMs: null, connectMs: null, tlsMs: null },
      trace: { resolution: null, found: [], permitted: [], attempts: [] },
      proven: null,
      judgeLateError: () => 'relay-upstream-reset',
    },
    {
      destination: destination({ tls: 'passthrough', ...overrides }),
      proof: { host: HOST, preamble: knock(), timeoutMs },
    },
  )
  return {
    ...{ session, facts, client: downstream.far, server: upstream.far, pairs: { downstream, upstream } },
    async [Symbol.asyncDispose]() {
      await downstream[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

/** The next bytes that arrive. */
async function next(socket: net.Socket): Promise<string> {
  const chunk = await new Promise<Buffer>((resolve) => {
    socket.once('data', resolve)
    socket.resume()
  })
  socket.pause()
  return chunk.toString('latin1')
}

async function agree({ client, server }: { client: net.Socket; server: net.Socket }): Promise<void> {
  server.write('220 hello\n')
  expect(await next(client)).toBe('220 hello\n')
  client.write('knock\n')
  expect(await next(server)).toBe('knock\n')
  server.write('come in\n')
  expect(await next(client)).toBe('come in\n')
}

describe('behind a preamble', () => {
  test('plain messages pass, the hello after them is proven, and all of it is counted', async () => {
    await using s = await opened()
    await agree(s)
    s.client.end(Buffer.concat([HELLO, Buffer.from('more')]))
    const atServer = await readToEnding(s.server)
    expect(atServer).toMatchObject({ how: 'end', data: Buffer.concat([HELLO, Buffer.from('more')]) })
    s.server.end('answer')
    expect((await readToEnding(s.client)).data.toString()).toBe('answer')
    expect(await s.session.done).toEqual({ code: 'closed', by: 'client', detail: null })
    expect(s.session.bytes).toEqual({ sent: 6 + HELLO.length + 4, received: 10 + 8 + 6 })
    expect(s.facts).toMatchObject({ serverName: HOST, nameProof: 'client-hello' })
  })

  test.each<[string, Partial<Destination>, Buffer, string]>([
    ['a wrong name', {}, record(hello({ extensions: [serverName(name('evil.example'))] })), 'name-mismatch'],
    ['plain text', {}, Buffer.from('MAIL FROM:<>\r\n'), 'name-not-tls'],
    ['no name', {}, record(hello({ extensions: [] })), 'name-missing'],
  ])(
    '%s after the upgrade is reset on both sides, and nothing but the preamble went up',
    async (_what, overrides, bytes, code) => {
      await using s = await opened(overrides)
      await agree(s)
      s.client.write(bytes)
      const [client, server] = await Promise.all([readToEnding(s.client), readToEnding(s.server)])
      expect([client.how, server.how]).toEqual(['reset', 'reset'])
      expect(server.data).toHaveLength(0)
      expect(await s.session.done).toMatchObject({ code, by: 'gateway' })
      expect(s.session.bytes).toEqual({ sent: 6, received: 18 })
    },
  )

  test('what the protocol refuses is reset under its code', async () => {
    await using s = await opened()
    s.client.write('QUIT\n')
    expect((await readToEnding(s.client)).how).toBe('reset')
    expect(await s.session.done).toEqual({ code: 'request-start-tls', by: 'gateway', detail: 'no knock' })
    expect(s.session.bytes).toEqual({ sent: 0, received: 0 })
  })

  test('the time-out covers preamble and hello together', async () => {
    await using s = await opened({}, 300)
    s.server.write('220 hello\n')
    expect(await s.session.done).toMatchObject({ code: 'name-timeout', by: 'gateway' })
    await Promise.all([readToEnding(s.client), readToEnding(s.server)])
  })
})

describe('a session that is closed from outside', () => {
  test('in the turn in which the name is proven is closed all the same', async () => {
    await using s = await opened()
    await agree(s)
    s.pairs.downstream.near.once('data', () => s.session.close('session-drained'))
    s.client.write(HELLO)
    const [client, server] = await Promise.all([readToEnding(s.client), readToEnding(s.server)])
    expect([client.how, server.how]).toEqual(['reset', 'reset'])
    expect(await s.session.done).toMatchObject({ code: 'session-drained', by: 'gateway' })
  })

  test('whose socket is gone in that turn ends as a loss', async () => {
    await using s = await opened()
    await agree(s)
    s.pairs.downstream.near.once('data', () => s.pairs.upstream.near.destroy())
    s.client.write(HELLO)
    expect(await s.session.done).toMatchObject({ code: 'relay-upstream-reset', by: 'upstream' })
    expect((await readToEnding(s.client)).how).toBe('reset')
  })
})
