import { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { ChunkWriter } from '../../../../gateway/sessions/chunk-writer.ts'
import type { RelaySide } from '../../../../gateway/sessions/tunnel.ts'

const SIZE = 16 * 1024

type Chunks = 'written' | 'both' | null

interface Scene {
  readonly writer: ChunkWriter
  /** Bytes whose memory is left to V8. */
  readonly left: () => number
  /** Ends the oldest write. */
  readonly finish: (error?: Error) => Promise<void>
}

function scene(of: { source?: Chunks; sink?: Chunks } = {}): Scene {
  const unfinished: ((error?: Error | null) => void)[] = []
  const stream = new Duplex({
    read: () => {},
    write: (_chunk, _encoding, done) => void unfinished.push(done),
  })
  stream.on('error', () => {})
  const side = (chunks: Chunks): RelaySide => ({
    ...{ stream, end: () => {}, reset: () => {}, endIsReal: () => true, closeIsClean: () => true },
    ...(chunks === null ? {} : { chunks }),
  })
  let left = 0
  const writer = new ChunkWriter(
    side(of.source === undefined ? 'both' : of.source),
    side(of.sink === undefined ? 'written' : of.sink),
    (bytes) => {
      left += bytes
    },
  )
  return {
    writer,
    left: () => left,
    async finish(error) {
      unfinished.shift()?.(error)
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

const whole = (size = SIZE) => Buffer.allocUnsafeSlow(size).fill(7)

describe('the memory of a chunk', () => {
  test('is freed when its own write is over, and not before', async () => {
    const { writer, left, finish } = scene()
    const [first, second, third] = [whole(), whole(), whole()]
    for (const chunk of [first, second, third]) writer.write(chunk)
    await finish()
    expect([second.length, third.length]).toEqual([SIZE, SIZE])
    await finish()
    expect([second.length, third.length]).toEqual([0, SIZE])
    await finish()
    expect([second.length, third.length]).toEqual([0, 0])
    // What was read before the relay may still be looked at by who did.
    expect(first.length).toBe(SIZE)
    expect(left()).toBe(SIZE)
  })

  test.for<[string, Parameters<typeof scene>[0], () => Buffer]>([
    ['a chunk that has a part of it', {}, () => whole(2 * SIZE).subarray(SIZE)],
    ['a small one', {}, () => whole(1024)],
    ['a source that may keep what it gave', { source: 'written' }, () => whole()],
    ['a sink that may keep what it took', { sink: null }, () => whole()],
  ])('is left to V8 for %s', async ([, of, make]) => {
    const { writer, left, finish } = scene(of)
    const chunk = make()
    const { length } = chunk
    writer.write(whole())
    writer.write(chunk)
    await finish()
    await finish()
    expect(chunk.length).toBe(length)
    expect(chunk.every((byte) => byte === 7)).toBe(true)
    expect(left()).toBe(SIZE + length)
  })

  test('is left to V8 after an error, for the kernel may still be reading it', async () => {
    const { writer, finish } = scene()
    const [first, failed, waiting] = [whole(), whole(), whole()]
    for (const chunk of [first, failed, waiting]) writer.write(chunk)
    await finish()
    await finish(new Error('lost'))
    expect([failed.length, waiting.length]).toEqual([SIZE, SIZE])
  })
})
