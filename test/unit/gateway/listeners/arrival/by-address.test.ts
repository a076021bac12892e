// A TLS socket finds the connection it lies over, and no other one of the same peer.
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { ByAddress, peerOf } from '../../../../../gateway/listeners/arrival/by-address.ts'

/** As a socket tells of itself. */
function socket(remotePort: number | undefined, localAddress?: string): Socket {
  const remoteAddress = remotePort === undefined ? undefined : '192.0.2.1'
  return { remoteAddress, remotePort, localAddress, localPort: 443 } as Socket
}

function connection(remotePort: number, localAddress: string) {
  const raw = socket(remotePort, localAddress)
  return { raw, peer: peerOf(raw) }
}

describe('a TLS socket', () => {
  test('is found by its peer, without a question for our own address', () => {
    const pending = new ByAddress()
    const one = connection(1, '10.0.0.1')
    pending.add(one)
    pending.add(connection(2, '10.0.0.1'))
    expect(pending.find(socket(1))).toBe(one)
  })

  test('is told by our own address from another of the same peer and port', () => {
    const pending = new ByAddress()
    const both = [connection(1, '10.0.0.1'), connection(1, '10.0.0.2')] as const
    for (const one of both) pending.add(one)
    expect(pending.find(socket(1, '10.0.0.1'))).toBe(both[0])
    expect(pending.find(socket(1, '10.0.0.2'))).toBe(both[1])
    expect(pending.find(socket(1, '10.0.0.3'))).toBeNull()
    expect(pending.find(socket(1))).toBeNull()
    pending.delete(both[0])
    expect(pending.find(socket(1, '10.0.0.2'))).toBe(both[1])
  })

  test('is that of the newest where one before it lost the same ports a moment ago', () => {
    const pending = new ByAddress()
    const [old, young] = [connection(1, '10.0.0.1'), connection(1, '10.0.0.1')]
    for (const one of [old, young]) pending.add(one)
    expect(pending.find(socket(1, '10.0.0.1'))).toBe(young)
    pending.delete(old)
    expect(pending.find(socket(1, '10.0.0.1'))).toBe(young)
  })

  test('is nobody’s once its connection has gone, or where it has no peer any more', () => {
    const pending = new ByAddress()
    const one = connection(1, '10.0.0.1')
    pending.add(one)
    expect(pending.find(socket(undefined))).toBeNull()
    pending.delete(one)
    pending.delete(one)
    expect(pending.find(socket(1, '10.0.0.1'))).toBeNull()
  })
})
