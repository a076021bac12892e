import { once } from 'node:events'
import { Duplex, duplexPair } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { startRelay } from '../../../../gateway/sessions/relay.ts'
import type { RelaySide } from '../../../../gateway/sessions/tunnel.ts'

const LINGER_MS = 5_000

function side(stream: Duplex): RelaySide {
  return {
    stream,
    chunks: 'written',
    end: () => void stream.end(),
    reset: () => void stream.destroy(),
    endIsReal: () => true,
    closeIsClean: () => true,
  }
}

test('a peer that has closed already is given no time to close, and one that has not is', async () => {
  using timers = vi.spyOn(globalThis, 'setTimeout')
  const lingering = () => timers.mock.calls.filter(([, ms]) => ms === LINGER_MS).length
  const ending = Promise.withResolvers<() => void>()
  const client = new Duplex({
    read() {},
    final: (done) => ending.resolve(done),
    autoDestroy: false,
  })
  const [upstream, far] = duplexPair()
  const relay = startRelay(side(client), side(upstream), {
    idleTimeoutMs: 60_000,
    halfCloseTimeoutMs: 60_000,
    maxDurationMs: null,
    now: () => performance.now(),
    judgeUpstreamError: () => 'relay-upstream-reset',
  })
  client.push(null)
  far.resume().end()
  await once(upstream, 'close')
  expect(lingering()).toBe(0)
  const flushed = await ending.promise
  flushed()
  expect(await relay.done).toMatchObject({ code: 'closed' })
  expect(lingering()).toBe(1)
  client.destroy()
})
