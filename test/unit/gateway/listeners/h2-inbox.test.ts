// Whatever comes in whatever pieces, and however its reader stops and goes on: all of it, in order, and little kept.
import type { Http2Stream } from 'node:http2'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { H2Inbox } from '../../../../gateway/listeners/h2-inbox.ts'

/** What of an Http2Stream the inbox needs; `push` is what Node's reading calls. */
class FakeStream extends Duplex {
  state: { remoteClose?: number } = { remoteClose: 0 }
  /** As after RST_STREAM. */
  cut = false
  constructor() {
    super({ read: () => {}, write: (_chunk, _encoding, done) => done() })
    Object.defineProperty(this, 'closed', { get: () => this.cut })
  }
}

function scene(before: (stream: FakeStream) => void = () => {}) {
  const stream = new FakeStream()
  before(stream)
  const grown: number[] = []
  const inbox = new H2Inbox(stream as unknown as Http2Stream, (bytes) => void grown.push(bytes))
  const chunks: Buffer[] = []
  const read = () => {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    return stream
  }
  return { stream, inbox, grown, chunks, read, text: () => Buffer.concat(chunks).toString('latin1') }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('bytes that nobody reads', () => {
  test('are held in one piece, and Node is told to give no window back', async () => {
    const { stream, inbox, grown, chunks, read, text } = scene()
    for (const byte of 'hello') expect(stream.push(Buffer.from(byte))).toBe(false)
    expect(inbox.length).toBe(5)
    expect(grown).toEqual([1, 1, 1, 1, 1])
    // Not in Node's own buffer, where each would be an object.
    expect(stream.readableLength).toBe(0)
    read()
    await turn()
    expect(text()).toBe('hello')
    expect(chunks).toHaveLength(1)
    expect(inbox.length).toBe(0)
  })

  test('are handed on in slices, so that a reader that stops at the first is heeded', async () => {
    const { stream, inbox, chunks } = scene()
    stream.push(Buffer.alloc(200 * 1024))
    stream.once('data', (chunk: Buffer) => {
      chunks.push(chunk)
      stream.pause()
    })
    await turn()
    expect(chunks[0]?.length).toBe(64 * 1024)
    expect(inbox.length).toBe(136 * 1024)
  })

  test('that came before the inbox are in one piece too', async () => {
    const { stream, inbox, read, text, chunks } = scene((stream) => {
      for (const byte of 'early ') stream.push(Buffer.from(byte))
    })
    for (const byte of 'late') stream.push(Buffer.from(byte))
    expect(inbox.length).toBe(10)
    read()
    await turn()
    expect(text()).toBe('early late')
    expect(chunks.length).toBeLessThanOrEqual(2)
    expect(stream.readableLength).toBe(0)
  })

  test('are dropped when the stream is gone', async () => {
    const { stream, inbox } = scene()
    stream.push(Buffer.from('hello'))
    stream.destroy()
    await turn()
    expect(inbox.length).toBe(0)
  })
})

describe('an end', () => {
  test('is one where the peer said so', () => {
    const { stream, inbox } = scene()
    expect(inbox.ended).toBe(false)
    stream.push(null)
    expect(inbox.ended).toBe(true)
  })

  test('is none where the stream was reset', () => {
    const { stream, inbox } = scene()
    stream.cut = true
    stream.push(null)
    expect(inbox.ended).toBe(false)
  })

  test('may have been there from the beginning', () => {
    const { inbox } = scene((stream) => {
      stream.state = { remoteClose: 1 }
    })
    expect(inbox.ended).toBe(true)
  })

  test('of a stream that is gone already is none', () => {
    const { inbox } = scene((stream) => {
      stream.state = {}
    })
    expect(inbox.ended).toBe(false)
  })
})

test('any pieces, pauses and turns in between: all bytes in order, then the end', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 3000 }) },
    { weight: 1, arbitrary: fc.constant(100_000) },
    { weight: 1, arbitrary: fc.constantFrom('pause' as const, 'resume' as const, 'turn' as const) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(5), async (steps, early) => {
      let next = 0
      const piece = (length: number) => Buffer.from(Array.from({ length }, () => (next = (next + 1) % 251)))
      const sent: Buffer[] = []
      const { stream, inbox, chunks, read } = scene((stream) => {
        for (let count = 0; count < early; count += 1) {
          sent.push(piece(7))
          stream.push(sent.at(-1))
        }
      })
      const reader = read()
      for (const one of steps) {
        if (typeof one === 'number') {
          sent.push(piece(one))
          stream.push(sent.at(-1))
        } else if (one === 'turn') await turn()
        else reader[one]()
        // Nothing is counted twice and nothing forgotten, but for what is between the two in this turn.
        const read = Buffer.concat(chunks).length
        expect(read + inbox.length).toBe(Buffer.concat(sent).length)
      }
      stream.push(null)
      reader.resume()
      await new Promise((resolve) => reader.once('end', resolve))
      expect(Buffer.concat(chunks).equals(Buffer.concat(sent))).toBe(true)
      expect(inbox.length).toBe(0)
    }),
    { numRuns: 60 },
  )
})
