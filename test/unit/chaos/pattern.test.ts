// Every byte of a chaos run says where it belongs, so that one that is lost, doubled, moved or another's is seen.
import { expect, test } from 'vitest'
import { Checker, patternAt } from '../../chaos/pattern.ts'

/** More than once around the table. */
const LENGTH = 100_000
/** Of session 3 towards the server, as it was sent. */
const sent = Buffer.concat([patternAt(3, 'up', 0, 65_000), patternAt(3, 'up', 65_000, LENGTH - 65_000)])

function take(bytes: Buffer, session = 3, chunk = 1_000): string | null {
  const checker = new Checker(session, 'up')
  for (let at = 0; at < bytes.length; at += chunk) checker.take(bytes.subarray(at, at + chunk))
  return checker.fault
}

test.for([1, 999, 65_521, LENGTH])('what was sent is taken, in chunks of %i', (chunk) => {
  expect(take(sent, 3, chunk)).toBeNull()
})

test.for<[string, Buffer, RegExp]>([
  ['a byte that is lost', Buffer.concat([sent.subarray(0, 70_000), sent.subarray(70_001)]), /from 70000 on/],
  [
    'a byte that comes twice',
    Buffer.concat([sent.subarray(0, 70_001), sent.subarray(70_000)]),
    /from 70000 on/,
  ],
  [
    'a stretch of 64 KiB that is lost',
    Buffer.concat([sent.subarray(0, 2_000), sent.subarray(2_000 + 65_536)]),
    /from 2000 on/,
  ],
  [
    'stretches that changed places',
    Buffer.concat([sent.subarray(1_000, 2_000), sent.subarray(0, 1_000)]),
    /from 0 on/,
  ],
  [
    'a byte that was changed',
    Buffer.from(sent).fill(sent.readUInt8(5_500) ^ 1, 5_500, 5_501),
    /from 5000 on/,
  ],
  [
    'bytes of another session',
    Buffer.concat([sent.subarray(0, 1_000), patternAt(4, 'up', 1_000, 1_000)]),
    /from 1000 on/,
  ],
  [
    'bytes of the other direction',
    Buffer.concat([sent.subarray(0, 1_000), patternAt(3, 'down', 1_000, 1_000)]),
    /from 1000 on/,
  ],
])('%s is seen', ([, bytes, says]) => {
  expect(take(bytes)).toMatch(says)
})
