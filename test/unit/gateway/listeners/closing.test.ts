import { expect, test, vi } from 'vitest'
import { Closing } from '../../../../gateway/listeners/closing.ts'

test('who waits is told once that the listener closes; who left before, or was taken off by another, is not', () => {
  const closing = new Closing()
  const [first, left, other] = [vi.fn<() => void>(), vi.fn<() => void>(), vi.fn<() => void>()]
  first.mockImplementation(() => closing.delete(other))
  for (const listener of [first, left, other]) closing.add(listener)
  closing.delete(left)
  closing.begin()
  closing.begin()
  expect([first, left, other].map((listener) => listener.mock.calls.length)).toEqual([1, 0, 0])
})
