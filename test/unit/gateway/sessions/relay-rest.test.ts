// A stream that closed before its end was read, as HTTP/2 does it, and before there was a relay.
import { once } from 'node:events'
import { Duplex, duplexPair } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { startRelay } from '../../../../gateway/sessions/relay.ts'
import { relaySide } from '../../../fixtures/relay-side.ts'

const OPTIONS = {
  ...{ idleTimeoutMs: 60_000, halfCloseTimeoutMs: 60_000, maxDurationMs: null },
  now: () => performance.now(),
  judgeUpstreamError: () => 'relay-upstream-reset' as const,
}

async function scene() {
  const client = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
  client.destroy()
  await once(client, 'close')
  const [upstream, server] = duplexPair()
  const heard: Buffer[] = []
  server.on('data', (chunk: Buffer) => heard.push(chunk))
  return { client, upstream, server, heard: () => Buffer.concat(heard).toString() }
}

test('what its end had before it is passed on where the service has ended too', async () => {
  const { client, upstream, server, heard } = await scene()
  server.end()
  upstream.resume()
  await once(upstream, 'end')
  const side = { ...relaySide(client), rest: () => Buffer.from('the rest') }
  const relay = startRelay(side, relaySide(upstream), OPTIONS)
  expect(await relay.done).toMatchObject({ code: 'closed' })
  await expect.poll(heard).toBe('the rest')
  expect(relay.bytes).toEqual({ sent: 8, received: 0 })
})

test.for<[string, () => Buffer | null, boolean]>([
  ['where there was no end', () => null, true],
  ['where the service has not ended: nobody would hear its answer', () => Buffer.from('the rest'), false],
])('nothing is passed on %s', async ([, rest, ended]) => {
  const { client, upstream, server, heard } = await scene()
  if (ended) {
    server.end()
    upstream.resume()
    await once(upstream, 'end')
  }
  const relay = startRelay({ ...relaySide(client), rest }, relaySide(upstream), OPTIONS)
  expect(await relay.done).toMatchObject({ code: 'relay-client-reset', by: 'client' })
  expect(heard()).toBe('')
})

describe('a side that had ended, was read to its end and closed before', () => {
  /** Closed behind an end that was read. */
  async function closedBehindItsEnd() {
    const stream = new Duplex({ autoDestroy: false, read() {}, write: (_chunk, _encoding, done) => done() })
    stream.push(null)
    stream.resume()
    await once(stream, 'end')
    stream.destroy()
    await once(stream, 'close')
    return stream
  }

  test.for<['client' | 'upstream', string]>([
    ['client', 'relay-client-reset'],
    ['upstream', 'relay-upstream-reset'],
  ])('is lost at once where the other has not ended, be it the %s', async ([party, code]) => {
    const [near, far] = duplexPair()
    far.resume()
    const [gone, other] = [relaySide(await closedBehindItsEnd()), relaySide(near)]
    const relay = party === 'client' ? startRelay(gone, other, OPTIONS) : startRelay(other, gone, OPTIONS)
    far.write('more')
    expect(await relay.done).toMatchObject({ code, by: party })
    expect(near.destroyed).toBe(true)
  })

  test.for<[string, boolean, string]>([
    ['a loss', false, 'relay-client-reset'],
    ['the ordinary end', true, 'closed'],
  ])('is %s where the other has ended too', async ([, closeIsClean, code]) => {
    const [upstream, server] = duplexPair()
    server.resume().end()
    upstream.resume()
    await once(upstream, 'end')
    const client = { ...relaySide(await closedBehindItsEnd()), closeIsClean: () => closeIsClean }
    const relay = startRelay(client, relaySide(upstream), OPTIONS)
    expect(await relay.done).toMatchObject({ code, by: 'client' })
  })
})
