import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createStdoutSink } from '../../../../gateway/audit/sink.ts'

/** A stream that takes a line when the test says so. */
function slowStream() {
  const written: string[] = []
  const pending: (() => void)[] = []
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      written.push(chunk)
      pending.push(() => done())
    },
  })
  return { stream, written, take: () => pending.shift()?.() }
}

describe('the stdout sink', () => {
  test('measures how long the oldest line waits, by a clock of its own', async () => {
    let now = 1_000
    const { stream, take } = slowStream()
    const sink = createStdoutSink(stream, { monotonic: () => now })
    sink.line('{"a":1}')
    now += 3_000
    sink.line('{"ü":2}')
    now += 2_500
    expect(sink.state()).toEqual({ failure: null, backlogBytes: 8 + 9, oldestWaitMs: 5_500, dropped: 0 })
    take()
    await expect.poll(() => sink.state()).toMatchObject({ backlogBytes: 9, oldestWaitMs: 2_500 })
    take()
    await expect.poll(() => sink.state()).toMatchObject({ backlogBytes: 0, oldestWaitMs: 0 })
  })

  test('an error loses what waits, and counts it', async () => {
    const { stream, written } = slowStream()
    const sink = createStdoutSink(stream)
    for (const text of ['a', 'b', 'c']) sink.line(text)
    const closed = sink.close(60_000)
    stream.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    await closed
    expect(sink.state()).toEqual({ failure: 'EPIPE', backlogBytes: 0, oldestWaitMs: 0, dropped: 3 })
    expect(written).toEqual(['a\n'])
  })

  test('a stream that ends without an error is a failure too', async () => {
    const { stream } = slowStream()
    const sink = createStdoutSink(stream)
    stream.destroy()
    await expect.poll(() => sink.state().failure).toBe('closed')
    sink.line('a')
    expect(sink.state().dropped).toBe(1)
  })

  test('takes nothing after close, and may be closed twice', async () => {
    const { stream, written } = slowStream()
    const sink = createStdoutSink(stream)
    await sink.close(60_000)
    await sink.close(60_000)
    sink.line('a')
    expect(written).toEqual([])
    expect(sink.state().dropped).toBe(1)
  })

  test('writes a line that may wait with the next one, and by itself where none comes', async () => {
    const { stream, written } = slowStream()
    const sink = createStdoutSink(stream)
    sink.line('a', Infinity, true)
    sink.line('b', Infinity, true)
    expect([written, sink.state().backlogBytes]).toEqual([[], 4])
    sink.line('c')
    expect(written).toEqual(['a\nb\nc\n'])
    const { stream: quiet, written: alone } = slowStream()
    createStdoutSink(quiet).line('d', Infinity, true)
    await expect.poll(() => alone).toEqual(['d\n'])
  })

  test('writes what still waits when it is closed, and counts each line', async () => {
    const { stream, written, take } = slowStream()
    const sink = createStdoutSink(stream)
    for (const text of ['a', 'b']) sink.line(text, Infinity, true)
    const closed = sink.close(60_000)
    expect(written).toEqual(['a\nb\n'])
    take()
    await closed
    expect(sink.state()).toEqual({ failure: null, backlogBytes: 0, oldestWaitMs: 0, dropped: 0 })
  })

  test('keeps back no more than it has room for', () => {
    const { stream, written } = slowStream()
    const sink = createStdoutSink(stream)
    for (let line = 0; line < 9; line++) sink.line('x'.repeat(8 * 1024), Infinity, true)
    expect(written).toHaveLength(1)
  })
})
