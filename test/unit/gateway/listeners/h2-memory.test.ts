// Which connections get a small window past the cap, and when they get their own back.
import type { ServerHttp2Session } from 'node:http2'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createH2Memory, type H2Member } from '../../../../gateway/listeners/h2-memory.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const KiB = 1024
const SMALL = 16 * KiB
const WINDOW = 256 * KiB
const SETTINGS_TIMEOUT = 4

function member(held: number, confirms = true) {
  const made = {
    bytes: held,
    windows: [] as number[],
    ended: [] as number[],
    held: () => made.bytes,
    session: {
      destroyed: false,
      settings({ initialWindowSize = -1 }, callback?: () => void) {
        made.windows.push(initialWindowSize)
        if (confirms) setTimeout(() => callback?.(), 50)
      },
      destroy(_error: Error, code: number) {
        made.session.destroyed = true
        made.ended.push(code)
      },
    } as Pick<ServerHttp2Session, 'settings' | 'destroy'> & { destroyed: boolean },
  }
  return made satisfies H2Member
}

const LOOK_MS = 300

describe('with a cap of 1000 KiB', () => {
  const create = () => createH2Memory({ capBytes: 1000 * KiB })

  test('nobody is touched below it', () => {
    const memory = create()
    const members = [member(500 * KiB), member(500 * KiB)]
    for (const one of members) memory.add(one)
    vi.advanceTimersByTime(10 * LOOK_MS)
    expect(members.map(({ windows }) => windows)).toEqual([[], []])
    expect(memory.heldBytes).toBe(1000 * KiB)
    expect(memory.windowBytes).toBe(WINDOW)
    memory.close()
  })

  test('past it the fullest get a small window, until the others hold a quarter of it', () => {
    const memory = create()
    const [small, fullest, middle] = [member(100 * KiB), member(700 * KiB), member(300 * KiB)]
    for (const one of [small, fullest, middle]) memory.add(one)
    vi.advanceTimersByTime(LOOK_MS)
    expect([small, fullest, middle].map(({ windows }) => windows)).toEqual([[], [SMALL], [SMALL]])
    // Once is enough, and who is new begins small.
    vi.advanceTimersByTime(10 * LOOK_MS)
    expect(fullest.windows).toEqual([SMALL])
    expect(memory.windowBytes).toBe(SMALL)
    memory.close()
  })

  test('the old window comes back when half of it is free, and not before', () => {
    const memory = create()
    const [full, other] = [member(900 * KiB), member(200 * KiB)]
    memory.add(full)
    memory.add(other)
    vi.advanceTimersByTime(LOOK_MS)
    const late = member(0)
    memory.add(late)
    full.bytes = 301 * KiB
    vi.advanceTimersByTime(LOOK_MS)
    expect(full.windows).toEqual([SMALL])
    full.bytes = 299 * KiB
    vi.advanceTimersByTime(LOOK_MS)
    expect(full.windows).toEqual([SMALL, WINDOW])
    // It began with the small one, and was never told so.
    expect(late.windows).toEqual([WINDOW])
    expect(other.windows).toEqual([])
    expect(memory.windowBytes).toBe(WINDOW)
    memory.close()
  })

  test('growth is looked at in a moment, but not at every byte', () => {
    const memory = create()
    const one = member(0)
    const asked = vi.spyOn(one, 'held')
    memory.add(one)
    one.bytes = 1001 * KiB
    for (let count = 0; count < 1001; count += 1) memory.grew(KiB)
    expect(asked).not.toHaveBeenCalled()
    vi.advanceTimersByTime(10)
    expect(one.windows).toEqual([SMALL])
    const looks = asked.mock.calls.length
    for (let count = 0; count < 1001; count += 1) memory.grew(KiB)
    expect(asked).toHaveBeenCalledTimes(looks)
    memory.close()
  })

  test('who does not confirm the small window is ended; who does, or is over, is not', () => {
    const memory = create()
    const [silent, honest, over] = [member(900 * KiB, false), member(900 * KiB), member(900 * KiB)]
    for (const one of [silent, honest, over]) memory.add(one)
    over.session.destroyed = true
    vi.advanceTimersByTime(LOOK_MS)
    vi.advanceTimersByTime(11_000)
    expect(silent.ended).toEqual([SETTINGS_TIMEOUT])
    expect(honest.ended).toEqual([])
    expect(over.windows).toEqual([])
    memory.close()
  })

  test('nothing ticks where nobody is, and nothing is remembered of who was', () => {
    const memory = create()
    const one = member(2000 * KiB)
    memory.add(one)
    vi.advanceTimersByTime(LOOK_MS)
    memory.remove(one)
    vi.advanceTimersByTime(1000)
    expect(vi.getTimerCount()).toBe(0)
    expect(memory.windowBytes).toBe(WINDOW)
    expect(memory.heldBytes).toBe(0)
  })
})
