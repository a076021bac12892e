import { randomBytes } from 'node:crypto'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { openSession } from '../../../../gateway/sessions/open-session.ts'
import { AdaptedStream } from '../../../../gateway/upstream/starttls/adapted-stream.ts'
import type { UpstreamConnection } from '../../../../gateway/upstream/types.ts'
import { connectedPair } from '../../../fixtures/sockets.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('what a translator of startTls has taken stays as it is until the server took it', async () => {
  await using client = await connectedPair()
  await using server = await connectedPair()
  const queued: Buffer[] = []
  const slow = new Duplex({
    highWaterMark: 64 * 1024 * 1024,
    read: () => {},
    write: (chunk: Buffer) => void queued.push(chunk),
  })
  const taken: Buffer[] = []
  const write = slow.write.bind(slow)
  slow.write = (chunk: Buffer) => {
    taken.push(chunk)
    return write(chunk)
  }
  const none = () => ({})
  const stream = new AdaptedStream(slow, {
    start: () => ({ transparent: 'both' }),
    ...{ fromClient: none, fromServer: none, serverEnded: none },
  })
  const side = {
    ...{
      stream: client.near,
      chunks: 'both' as const,
      end: () => {},
      reset: () => client.near.resetAndDestroy(),
    },
    ...{ endIsReal: () => true, closeIsClean: () => true },
  }
  const upstream = { raw: server.near, stream, judgeLateError: () => 'relay-upstream-reset' }
  const session = { idleTimeoutMs: 60_000, halfCloseTimeoutMs: 60_000, maxDurationMs: null }
  const open = openSession(side, upstream as unknown as UpstreamConnection, {
    destination: { session } as never,
    proof: null,
  })
  const bytes = randomBytes(4 * 1024 * 1024)
  client.far.write(bytes)
  while (open.bytes.sent < bytes.length) await turn()
  await turn()
  // None but the first has gone further than the translator.
  expect(queued).toHaveLength(1)
  expect(Buffer.concat(taken).equals(bytes)).toBe(true)
  open.close('session-drained')
  await open.done
})
