import { expect, test } from 'vitest'
import { localAddresses } from '../../../../gateway/upstream/local-names.ts'

const LOOPBACK = ['127.0.0.1', '::1']

test.each([
  ['192.0.2.1', ['192.0.2.1']],
  ['2001:db8::1', ['2001:db8::1']],
  ['::ffff:192.0.2.1', ['192.0.2.1']],
  ['localhost', LOOPBACK],
  ['a.localhost', LOOPBACK],
  ['a.b.localhost', LOOPBACK],
  ['notlocalhost', null],
  ['localhost.example', null],
  ['127.1', null],
  ['a.example', null],
])('%s is %j without asking', (host, expected) => {
  expect(localAddresses(host)).toEqual(expected)
})
