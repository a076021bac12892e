// Whether a connection would come back to the gateway.
import os from 'node:os'
import { describe, expect, test } from 'vitest'
import { createOwnListeners } from '../../../../gateway/upstream/own-listeners.ts'

const HOST = ['127.0.0.1', '10.20.1.7', '::1', '2600:1f18:1:100::7']

describe('a port on which the gateway listens', () => {
  const own = createOwnListeners({ hostAddresses: () => HOST })
  own.add({ host: '0.0.0.0', port: 8443 })
  own.add({ host: '::', port: 8444 })
  own.add({ host: '127.0.0.1', port: 9901 })
  own.add({ host: '10.20.1.7', port: 9901 })
  own.add({ host: '::1', port: 9903 })

  test.each<[string, string, number, boolean]>([
    ['on all of IPv4: an address of the host', '10.20.1.7', 8443, true],
    ['on all of IPv4: loopback', '127.0.0.1', 8443, true],
    ['on all of IPv4: all of loopback', '127.9.9.9', 8443, true],
    ['on all of IPv4: no address of IPv6', '2600:1f18:1:100::7', 8443, false],
    ['on all of IPv4: no other host', '10.20.1.8', 8443, false],
    ['on all of IPv4: no other port', '10.20.1.7', 8442, false],
    ['on everything: an address of IPv6', '2600:1f18:1:100::7', 8444, true],
    ['on everything: an address of IPv4 too', '10.20.1.7', 8444, true],
    ['on everything: loopback of IPv6', '::1', 8444, true],
    ['on one address: that one', '127.0.0.1', 9901, true],
    ['on one address: another that listens there as well', '10.20.1.7', 9901, true],
    ['on one address: none besides', '127.0.0.2', 9901, false],
    ['on one address of IPv6', '::1', 9903, true],
    ['on one address of IPv6: not its like in IPv4', '127.0.0.1', 9903, false],
  ])('%s', (_name, address, port, expected) => {
    expect(own.has(address, port)).toBe(expected)
  })
})

test('the addresses of the host are those that it has at the time', () => {
  const now: string[] = []
  const own = createOwnListeners({ hostAddresses: () => now })
  own.add({ host: '0.0.0.0', port: 1 })
  expect(own.has('10.0.0.1', 1)).toBe(false)
  now.push('10.0.0.1')
  expect(own.has('10.0.0.1', 1)).toBe(true)
})

test('by default they are those of its interfaces', () => {
  const own = createOwnListeners()
  own.add({ host: '::', port: 1 })
  const addresses = Object.values(os.networkInterfaces()).flatMap((list) => list ?? [])
  expect(addresses).not.toEqual([])
  for (const { address } of addresses) expect(own.has(address, 1)).toBe(true)
})
