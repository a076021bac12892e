import { expect, test } from 'vitest'
import type { Destination, HostPattern } from '../../../../gateway/config/types.ts'
import { singleTargets } from '../../../../gateway/listeners/preset.ts'

const exact = (host: string): HostPattern => ({ kind: 'exact', host })
const V6 = '2001:db8::7'

test.each<[string, readonly HostPattern[], readonly number[], { host: string; port: number } | null]>([
  ['one name and one port', [exact('a.test')], [443], { host: 'a.test', port: 443 }],
  ['one address and one port', [{ kind: 'address', address: V6 }], [5432], { host: V6, port: 5432 }],
  ['two names', [exact('a.test'), exact('b.test')], [443], null],
  ['two ports', [exact('a.test')], [443, 8443], null],
  ['a suffix', [{ kind: 'suffix', suffix: 'a.test' }], [443], null],
  ['anything', [{ kind: 'any' }], [443], null],
  ['no name', [], [443], null],
  ['no port', [exact('a.test')], [], null],
])('a destination with %s', (_, hosts, ports, expected) => {
  const single = singleTargets([{ name: 'd', hosts, ports, startTls: 'postgres' } as unknown as Destination])
  expect(single('d')).toEqual(expected === null ? null : { ...expected, startTls: 'postgres' })
  expect(single('other')).toBeNull()
})
