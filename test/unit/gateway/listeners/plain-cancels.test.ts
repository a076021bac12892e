// What is kept of sessions for a CancelRequest without TLS, over a clock of the test's.
import { expect, test } from 'vitest'
import { type Cancellable, createPlainCancels } from '../../../../gateway/listeners/plain-cancels.ts'

const at = (ip: string, vpcEndpoint: string | null = null) => ({ ip, port: 1, vpcEndpoint })
const key = (secret: number) => Buffer.of(0, 0, 0, 1, 0, 0, 0, secret)
const session = (host: string): Cancellable => ({
  requested: { host, port: 5432 },
  serverName: null,
  identity: { ok: false, code: 'client-certificate-missing', detail: null },
})
const HERE = at('10.0.0.5')

test('an address behind a VPC endpoint is another than the same address without, or behind another', () => {
  const cancels = createPlainCancels(() => 0)
  const kept = session('a.test')
  cancels.remember(at('10.0.0.5', 'vpce-1'), key(1), kept)
  expect(cancels.find(HERE, key(1))).toBe('unknown')
  expect(cancels.find(at('10.0.0.5', 'vpce-2'), key(1))).toBe('unknown')
  expect(cancels.find(at('10.0.0.5', 'vpce-1'), key(1))).toBe(kept)
})

test('twenty unknown ones at once, then one a second; known ones are not counted, nor other addresses', () => {
  let now = 0
  const cancels = createPlainCancels(() => now)
  const kept = session('a.test')
  cancels.remember(HERE, key(1), kept)
  for (let count = 0; count < 50; count += 1) expect(cancels.find(HERE, key(1))).toBe(kept)
  for (let count = 0; count < 20; count += 1) expect(cancels.find(HERE, key(2))).toBe('unknown')
  expect(cancels.find(HERE, key(1))).toBe('too-many')
  expect(cancels.find(at('10.0.0.6'), key(2))).toBe('unknown')
  now = 1_000
  expect(cancels.find(HERE, key(1))).toBe(kept)
  expect(cancels.find(HERE, key(2))).toBe('unknown')
  expect(cancels.find(HERE, key(1))).toBe('too-many')
})

test('a /64 is one source of wrong ones, and none of right ones', () => {
  const cancels = createPlainCancels(() => 0)
  cancels.remember(at('2001:db8::1'), key(1), session('a.test'))
  expect(cancels.find(at('2001:db8::2'), key(1))).toBe('unknown')
  for (let count = 1; count < 20; count += 1) cancels.find(at(`2001:db8::${count}`), key(2))
  expect(cancels.find(at('2001:db8::1'), key(1))).toBe('too-many')
})

test('the oldest is forgotten where there are too many, and who took its key is not forgotten with it', () => {
  const cancels = createPlainCancels(() => 0, 2)
  const [first, second, third] = [session('a.test'), session('b.test'), session('c.test')]
  cancels.remember(HERE, key(1), first)
  const forget = cancels.remember(HERE, key(2), second)
  cancels.remember(HERE, key(2), third)
  forget()
  expect(cancels.find(HERE, key(2))).toBe(third)
  cancels.remember(HERE, key(3), second)
  expect(cancels.find(HERE, key(1))).toBe('unknown')
})
