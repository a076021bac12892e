import { once } from 'node:events'
import net from 'node:net'
import { type Duplex, duplexPair, PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { letGoWhenClosed } from '../../../gateway/let-go.ts'
import { type Grounds, RunningSession } from '../../../gateway/sessions/live-session.ts'
import { startRelay } from '../../../gateway/sessions/relay.ts'
import { grownOld } from '../../fixtures/heap.ts'
import { relaySide } from '../../fixtures/relay-side.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** So much memory, in objects as small as those of a session. */
const KIB = 40
interface Weight {
  readonly next: Weight | null
  readonly numbers: readonly number[]
}

function weigh(): Weight {
  let weight: Weight | null = null
  for (let at = 0; at < 16 * KIB; at++) weight = { next: weight, numbers: [at] }
  return weight as Weight
}

async function useStream(stream: Duplex): Promise<void> {
  const session = weigh()
  letGoWhenClosed(stream)
  stream.on('data', () => session.next)
  stream.destroy()
  await once(stream, 'close')
  await turn()
}

async function useRelay(): Promise<void> {
  const session = weigh()
  const [near, client] = duplexPair()
  const [upstream, far] = duplexPair()
  const closed = [client, upstream].map(async (stream) => {
    letGoWhenClosed(stream)
    await once(stream, 'close')
  })
  const relay = startRelay(relaySide(client), relaySide(upstream), {
    idleTimeoutMs: 60_000,
    halfCloseTimeoutMs: 60_000,
    maxDurationMs: null,
    now: () => performance.now(),
    judgeUpstreamError: () => (session.next === null ? 'closed' : 'relay-upstream-reset'),
  })
  far.resume().end()
  near.resume().end()
  expect(await relay.done).toMatchObject({ code: 'closed' })
  await Promise.all(closed)
  await turn()
}

test.each<[string, () => Promise<void>]>([
  ['a socket', () => useStream(new net.Socket())],
  ['any other stream', () => useStream(new PassThrough())],
  ['both sides of a relay', useRelay],
])('what hangs on %s does not grow old', async (_name, use) => {
  for (let time = 0; time < 20; time++) await use()
  expect(await grownOld(use, 60)).toBeLessThan((KIB * 1024) / 4)
})

test('a listener is called as long as its stream is open, and once more in the turn of its close', async () => {
  const streams = [new PassThrough(), new PassThrough()]
  const said: string[] = []
  for (const stream of streams) {
    letGoWhenClosed(stream)
    stream.on('data', (chunk: Buffer) => said.push(chunk.toString()))
    stream.on('late', () => said.push('late'))
    stream.on('close', () => process.nextTick(() => stream.emit('late')))
    stream.write('one')
  }
  await turn()
  // The second closes in the phase of the loop in which the first is let go.
  const [first, second] = streams
  setImmediate(() => second?.destroy())
  first?.destroy()
  await Promise.all(streams.map((stream) => once(stream, 'close')))
  await turn()
  for (const stream of streams) stream.emit('late')
  expect(said).toEqual(['one', 'one', 'late', 'late'])
})

test('an error that comes when all is over ends nothing', async () => {
  const stream = new PassThrough()
  letGoWhenClosed(stream)
  stream.on('error', () => {})
  stream.destroy()
  await once(stream, 'close')
  await turn()
  expect(stream.emit('error', new Error('late'))).toBe(true)
})

test('what moved a session’s bytes does not grow old with a map that has the session', async () => {
  const sessions = new Map<string, RunningSession>()
  let opened = 0
  const use = async () => {
    const weight = weigh()
    const moving = { bytes: { sent: 0, received: 0 }, lastActivityAt: weight.numbers.length }
    const session = new RunningSession(
      { id: String(opened++), openedAt: new Date(0), grounds: {} as Grounds },
      () => (weight.next === null ? null : moving),
      () => {},
    )
    sessions.set(session.id, session)
    // Some are always live, as those before them leave.
    const before = sessions.get(String(opened - 4))
    if (before === undefined) return
    sessions.delete(before.id)
    before.letGo()
    expect(before.bytes).toEqual({ sent: 0, received: 0 })
    await turn()
  }
  for (let time = 0; time < 20; time++) await use()
  expect(await grownOld(use, 60)).toBeLessThan((KIB * 1024) / 4)
})
