import { once } from 'node:events'
import { Duplex, duplexPair } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { startRelay } from '../../../../gateway/sessions/relay.ts'
import type { RelaySide } from '../../../../gateway/sessions/tunnel.ts'
import { relaySide } from '../../../fixtures/relay-side.ts'

const LINGER_MS = 5_000

type Party = 'client' | 'upstream'

test.each<[Party, Party]>([
  ['client', 'upstream'],
  ['upstream', 'client'],
])('where the %s closes last, it is given time to close, and the %s none', async (last, first) => {
  using timers = vi.spyOn(globalThis, 'setTimeout')
  const lingering = () => timers.mock.calls.filter(([, ms]) => ms === LINGER_MS).length
  const ending = Promise.withResolvers<() => void>()
  const slow = new Duplex({
    read() {},
    final: (done) => ending.resolve(done),
    autoDestroy: false,
  })
  const [quick, far] = duplexPair()
  const sides = { [last]: relaySide(slow), [first]: relaySide(quick) } as Record<Party, RelaySide>
  const relay = startRelay(sides.client, sides.upstream, {
    idleTimeoutMs: 60_000,
    halfCloseTimeoutMs: 60_000,
    maxDurationMs: null,
    now: () => performance.now(),
    judgeUpstreamError: () => 'relay-upstream-reset',
  })
  slow.push(null)
  far.resume().end()
  await once(quick, 'close')
  expect(lingering()).toBe(0)
  const flushed = await ending.promise
  flushed()
  expect(await relay.done).toMatchObject({ code: 'closed' })
  expect(lingering()).toBe(1)
  slow.destroy()
})
