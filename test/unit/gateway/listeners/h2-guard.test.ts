// The clock of an HTTP/2 connection: a peer that answers no PING, and one that never lets its connection end.
import { EventEmitter } from 'node:events'
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ClientConnection } from '../../../../gateway/listeners/connection.ts'
import { H2Guard, H2LimitError } from '../../../../gateway/listeners/h2-guard.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const ENHANCE_YOUR_CALM = 0xb

function scene(answers: boolean) {
  const session = Object.assign(new EventEmitter(), {
    destroyed: false,
    pings: 0,
    ended: [] as { readonly error: Error; readonly code: number }[],
    ping(callback: (error: Error | null) => void) {
      session.pings += 1
      if (answers) setTimeout(() => callback(null), 100)
    },
    destroy(error: Error, code: number) {
      session.destroyed = true
      session.ended.push({ error, code })
    },
  })
  const raw = Object.assign(new EventEmitter(), {
    destroyed: false,
    resets: 0,
    resetAndDestroy() {
      raw.destroyed = true
      raw.resets += 1
    },
  })
  const guard = new H2Guard(session as unknown as ServerHttp2Session, { raw } as unknown as ClientConnection)
  return { session, raw, guard }
}

describe('a peer', () => {
  test('that answers lives on, and is asked every ten seconds', () => {
    const { session, raw } = scene(true)
    vi.advanceTimersByTime(60_000)
    expect(session.pings).toBe(6)
    expect(session.ended).toEqual([])
    expect(raw.resets).toBe(0)
  })

  test('that does not is dead after twenty', () => {
    const { session } = scene(false)
    vi.advanceTimersByTime(20_000)
    expect(session.ended).toEqual([])
    vi.advanceTimersByTime(4_000)
    expect(session.ended).toMatchObject([{ error: { message: 'PING was not answered' }, code: 0 }])
  })

  test('that takes neither what is left nor the end is cut, after it had time for both', () => {
    const { session, raw } = scene(true)
    session.destroy(new Error('over'), 0)
    vi.advanceTimersByTime(2_000)
    expect(raw.resets).toBe(0)
    vi.advanceTimersByTime(2_000)
    expect(raw.resets).toBe(1)
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(2_000)
    // Nothing ticks for what is gone.
    expect(vi.getTimerCount()).toBe(0)
    expect(raw.resets).toBe(1)
  })
})

describe('what is counted', () => {
  test.each<[string, number, string]>([
    ['ping', 2000, 'too many PING frames'],
    ['remoteSettings', 50, 'too many SETTINGS frames'],
    ['priority', 1000, 'too many PRIORITY frames'],
  ])('%s may come %i times at once and no more', (event, burst, message) => {
    const { session, guard } = scene(true)
    for (let count = 0; count < burst; count += 1) session.emit(event)
    expect(session.ended).toEqual([])
    session.emit(event)
    expect(session.ended).toEqual([
      { error: new H2LimitError('limit-frames', message), code: ENHANCE_YOUR_CALM },
    ])
    expect(guard.fault).toMatchObject({ code: 'limit-frames' })
    // What still comes of it does not end it again.
    session.emit(event)
    expect(session.ended).toHaveLength(1)
  })

  test('comes back with time', () => {
    const { session } = scene(true)
    for (let second = 0; second < 100; second += 1) {
      for (let count = 0; count < 10; count += 1) session.emit('remoteSettings')
      vi.advanceTimersByTime(1_000)
    }
    expect(session.ended).toEqual([])
  })

  test('a stream that closed before it was answered is a request taken back; one that was answered is not', () => {
    const { session, guard } = scene(true)
    const close = (headersSent: boolean) => {
      const stream = Object.assign(new EventEmitter(), { headersSent })
      guard.watch(stream as unknown as ServerHttp2Stream)
      stream.emit('close')
    }
    for (let count = 0; count < 1000; count += 1) close(true)
    for (let count = 0; count < 200; count += 1) close(false)
    expect(session.ended).toEqual([])
    close(false)
    expect(session.ended).toHaveLength(1)
  })
})
