import type net from 'node:net'
import { Duplex } from 'node:stream'
import type tls from 'node:tls'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { tryEnd } from '../../../../gateway/listeners/lost-reset.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
})

/** A stream whose writes TCP takes, or never ends, as after a reset that was lost. */
function connection(stuck: boolean) {
  const fate: string[] = []
  const raw = Object.assign(new Duplex(), {
    bytesWritten: 100,
    connecting: false,
    resetAndDestroy: () => void fate.push('reset'),
  })
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      if (stuck) return
      raw.bytesWritten += chunk.length + 22
      done()
    },
    final(done) {
      if (stuck) return
      raw.bytesWritten += 24
      done()
    },
  })
  return { fate, stream, end: tryEnd(stream as tls.TLSSocket, raw as unknown as net.Socket) }
}

test.for<[string, boolean, (stream: Duplex) => void, string]>([
  ['is passed on where the other side is silent', false, () => {}, 'passed'],
  ['is passed on behind what was written', false, (stream) => stream.write('220 ready'), 'passed'],
  ['is passed on where the other side has ended', false, (stream) => stream.end(), 'passed'],
  [
    'is a reset where what the other side said goes nowhere',
    true,
    (stream) => stream.write('220 ready'),
    'reset',
  ],
  ['is a reset where the end of the other side goes nowhere', true, (stream) => stream.end(), 'reset'],
])('an end %s', async ([, stuck, before, expected]) => {
  const { fate, stream, end } = connection(stuck)
  before(stream)
  end.holdEnd(() => fate.push('passed'))
  await vi.advanceTimersByTimeAsync(10_000)
  expect(fate).toEqual([expected])
})

test('who takes no more is reset where nothing was taken for a while', async () => {
  const stuck = connection(true)
  const slow = connection(false)
  for (const { stream, end } of [stuck, slow]) {
    stream.write('220 ready')
    end.whenFull()
  }
  // What waits behind a write of nothing is handed on in the next turn.
  const behind = connection(false)
  behind.end.whenFull()
  behind.stream.write('220 ready')
  expect(stuck.fate).toEqual([])
  await vi.advanceTimersByTimeAsync(10_000)
  expect([stuck.fate, slow.fate, behind.fate]).toEqual([['reset'], [], []])
})
