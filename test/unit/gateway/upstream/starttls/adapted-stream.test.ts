// The stream between a plaintext client and TLS, over real sockets: what the relay needs of it at every moment.
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import {
  AdaptedStream,
  type Moves,
  type Translator,
} from '../../../../../gateway/upstream/starttls/adapted-stream.ts'
import { UpstreamError } from '../../../../../gateway/upstream/types.ts'
import { connectedPair, readToEnding } from '../../../../fixtures/sockets.ts'

/** `once(stream, 'close')` would throw an error that comes before. */
const closing = (stream: Duplex) => new Promise<void>((resolve) => stream.once('close', () => resolve()))
const bytes = (text: string) => Buffer.from(text, 'latin1')

/** Says nothing, lets nothing through, and does as the test says. */
const translator = (steps: Partial<Translator> = {}): Translator => ({
  start: () => ({}),
  fromClient: () => ({}),
  fromServer: () => ({}),
  serverEnded: () => ({}),
  ...steps,
})
const OPEN = translator({ start: () => ({ transparent: 'both' }) })
const FAILURE = new UpstreamError('upstream-starttls-malformed', 'test')

async function adapted(steps: Translator) {
  const pair = await connectedPair()
  const stream = new AdaptedStream(pair.near, steps)
  const errors: Error[] = []
  stream.on('error', (error) => errors.push(error))
  return { ...pair, stream, errors, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() }
}

describe('out of the way', () => {
  test('it passes both directions whole and keeps half-close', async () => {
    await using place = await adapted(OPEN)
    const body = Buffer.alloc(2_000_000, 'x')
    const up = readToEnding(place.far)
    place.stream.end(body)
    const sent = await up
    expect({ how: sent.how, same: sent.data.equals(body) }).toEqual({ how: 'end', same: true })
    const closed = closing(place.stream)
    const down = readToEnding(place.stream)
    place.far.end(body)
    const { how, data } = await down
    expect({ how, same: data.equals(body) }).toEqual({ how: 'end', same: true })
    await closed
    expect(place.errors).toEqual([])
  })

  test('it takes no more of the server than its reader does', async () => {
    await using place = await adapted(OPEN)
    let received = 0
    place.stream.on('data', (chunk: Buffer) => {
      // Takes the first, and then nothing for a while.
      if (received === 0) place.stream.pause()
      received += chunk.length
    })
    const body = Buffer.alloc(16_000_000)
    place.far.write(body)
    await expect.poll(() => received).toBeGreaterThan(0)
    // Everything in between is full then.
    let before = -1
    await expect
      .poll(
        () => {
          const now = place.near.bytesRead
          const still = now === before
          before = now
          return still
        },
        { interval: 100 },
      )
      .toBe(true)
    expect(place.near.bytesRead).toBeLessThan(1_000_000)
    place.stream.resume()
    await expect.poll(() => received, { timeout: 10_000 }).toBe(body.length)
  })

  test('it tells a slow server to its writer', async () => {
    await using place = await adapted(OPEN)
    let written = 0
    while (place.stream.write(Buffer.alloc(100_000))) written += 1
    while (place.stream.writableLength === 0 && written < 1_000) {
      place.stream.write(Buffer.alloc(100_000))
      written += 1
    }
    expect(place.stream.writableLength).toBeGreaterThan(0)
    const drained = once(place.stream, 'drain')
    place.far.resume()
    await drained
  })

  test('an error below is its own error, and a reset without one is a close without an end', async () => {
    await using place = await adapted(OPEN)
    place.near.destroy(new Error('below'))
    await closing(place.stream)
    expect(place.errors.map(({ message }) => message)).toEqual(['below'])
    await using other = await adapted(OPEN)
    other.near.destroy()
    await closing(other.stream)
    expect({ errors: other.errors, ended: other.stream.readableEnded }).toEqual({ errors: [], ended: false })
  })

  test('it closes what is below with itself', async () => {
    await using place = await adapted(OPEN)
    const closed = closing(place.near)
    place.stream.destroy()
    await closed
  })
})

describe('what came before it was there', () => {
  test('data and an end are for its reader', async () => {
    await using pair = await connectedPair()
    pair.far.end('early')
    pair.near.read(0)
    await expect.poll(() => pair.near.readableLength).toBe(5)
    const stream = new AdaptedStream(pair.near, OPEN)
    expect((await readToEnding(stream)).data.toString()).toBe('early')
  })

  test('an end alone is an end', async () => {
    await using pair = await connectedPair()
    pair.far.end()
    pair.near.resume()
    await once(pair.near, 'end')
    const stream = new AdaptedStream(pair.near, OPEN)
    expect((await readToEnding(stream)).how).toBe('end')
  })

  test('an error is its error', async () => {
    await using pair = await connectedPair()
    const closed = closing(pair.near)
    pair.near.on('error', () => {}).destroy(new Error('early'))
    await closed
    const stream = new AdaptedStream(pair.near, OPEN)
    const [error] = (await once(stream, 'error')) as [Error]
    expect(error.message).toBe('early')
  })
})

describe('in the way', () => {
  test('it shows the client a greeting first, and each side what the translator makes of the other', async () => {
    const moves: Record<string, Moves> = {
      c1: { toClient: bytes('no ') },
      c2: { toServer: bytes('c2'), transparent: 'client' },
      s1: { toClient: bytes('S1'), transparent: 'server' },
    }
    const step = (chunk: Buffer) => moves[chunk.toString()] ?? { failure: FAILURE }
    await using place = await adapted(
      translator({ start: () => ({ toClient: bytes('hello ') }), fromClient: step, fromServer: step }),
    )
    const down = readToEnding(place.stream)
    place.stream.write('c1')
    place.stream.write('c2')
    place.stream.write('raw')
    const [first] = (await once(place.far.resume(), 'data')) as [Buffer]
    expect('c2raw'.startsWith(first.toString())).toBe(true)
    place.far.write('s1')
    await expect.poll(() => place.near.bytesRead).toBe(2)
    place.far.end('raw')
    expect((await down).data.toString()).toBe('hello no S1raw')
  })

  test.each<[string, Partial<Translator>]>([
    ['of the client', { fromClient: () => ({ failure: FAILURE }) }],
    ['of the server', { fromServer: () => ({ failure: FAILURE }) }],
    ['of the server’s end', { serverEnded: () => ({ failure: FAILURE }) }],
    ['at the start', { start: () => ({ failure: FAILURE }) }],
  ])('a failure %s is its error', async (_, steps) => {
    await using place = await adapted(translator(steps))
    const ending = readToEnding(place.stream)
    place.stream.write('x')
    place.far.end('x')
    expect((await ending).how).toBe('reset')
    await expect.poll(() => place.errors).toEqual([FAILURE])
  })

  test('work instead of a session ends both sides in order, or is the error', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await using place = await adapted(translator({ fromClient: () => ({ instead: () => promise }) }))
    const [up, down] = [readToEnding(place.far), readToEnding(place.stream)]
    place.stream.write('cancel')
    place.stream.write('and what nobody asked for')
    place.far.write('ignored')
    resolve()
    expect(await up).toMatchObject({ how: 'end', data: Buffer.alloc(0) })
    expect(await down).toMatchObject({ how: 'end', data: Buffer.alloc(0) })
    await using failing = await adapted(
      translator({ fromClient: () => ({ instead: () => Promise.reject(FAILURE) }) }),
    )
    failing.stream.write('cancel')
    expect((await readToEnding(failing.stream)).error).toBe(FAILURE)
  })
})

test('a reader that pauses before the end gets it, though the connection closed in good order meanwhile', async () => {
  await using place = await adapted(OPEN)
  const { stream, far, near, errors } = place
  const closed = closing(near)
  stream.end()
  stream.on('data', () => stream.pause())
  far.end('the rest')
  far.resume()
  await closed
  await new Promise((resolve) => setImmediate(resolve))
  const ended = once(stream, 'end')
  stream.resume()
  await ended
  expect(errors).toEqual([])
})
