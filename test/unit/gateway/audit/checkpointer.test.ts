import { describe, expect, test, vi } from 'vitest'
import { type CheckpointSink, startCheckpointer } from '../../../../gateway/audit/checkpointer.ts'
import type { WrittenCheckpoint } from '../../../../gateway/audit/events.ts'

/** A log that counts, and a second sink whose answers the test gives. */
function start(options: { readonly fail?: boolean; readonly second?: boolean } = {}) {
  const results: string[] = []
  const puts: { readonly sequence: number; readonly done: PromiseWithResolvers<void> }[] = []
  const closed: string[] = []
  let sequence = 0
  const finals: boolean[] = []
  const audit = {
    checkpoint(final: boolean): WrittenCheckpoint | null {
      if (options.fail) throw new Error('no key')
      finals.push(final)
      sequence += 1
      return { chain: 'c', sequence, at: '', line: '' }
    },
    close: async () => void closed.push('log'),
  }
  const second: CheckpointSink = {
    async put({ sequence }) {
      const done = Promise.withResolvers<void>()
      puts.push({ sequence, done })
      await done.promise
    },
    close: async () => void closed.push('second'),
  }
  const checkpointer = startCheckpointer({
    audit,
    second: options.second === false ? null : second,
    onResult: (result) => void results.push(result),
    intervalMs: 1000,
  })
  return { checkpointer, results, puts, closed, finals }
}

describe('the checkpointer', () => {
  test('writes each interval and at the end, the last one as such', async () => {
    vi.useFakeTimers()
    try {
      const { checkpointer, finals, results, closed } = start({ second: false })
      await vi.advanceTimersByTimeAsync(2500)
      await checkpointer.close(1000)
      await vi.advanceTimersByTimeAsync(5000)
      expect(finals).toEqual([false, false, true])
      expect(results).toEqual(['written', 'written', 'written'])
      expect(closed).toEqual(['log'])
    } finally {
      vi.useRealTimers()
    }
  })

  test('gives a slow second sink the newest of those that wait, and holds nothing up', async () => {
    vi.useFakeTimers()
    try {
      const { checkpointer, puts, results, finals } = start()
      await vi.advanceTimersByTimeAsync(4500)
      expect(finals).toHaveLength(4)
      expect(puts.map(({ sequence }) => sequence)).toEqual([1])
      puts[0]?.done.reject(new Error('away'))
      await vi.advanceTimersByTimeAsync(0)
      expect(puts.map(({ sequence }) => sequence)).toEqual([1, 4])
      puts[1]?.done.resolve()
      await vi.advanceTimersByTimeAsync(0)
      expect(results.filter((result) => result !== 'written')).toEqual(['lost', 'kept'])
      const closing = checkpointer.close(1000)
      await vi.advanceTimersByTimeAsync(0)
      puts[2]?.done.resolve()
      await closing
      expect(puts.map(({ sequence }) => sequence)).toEqual([1, 4, 5])
    } finally {
      vi.useRealTimers()
    }
  })

  test('closing gives up on a second sink after its time, and closes both', async () => {
    const { checkpointer, closed } = start()
    await checkpointer.close(10)
    expect(closed).toEqual(['log', 'second'])
  })

  test('a key that signs nothing is told, and the log is closed all the same', async () => {
    const { checkpointer, results, closed } = start({ fail: true })
    await checkpointer.close(10)
    expect(results).toEqual(['unsigned'])
    expect(closed).toEqual(['log', 'second'])
  })
})
