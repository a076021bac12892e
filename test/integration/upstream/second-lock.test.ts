// What happens where the first check fails to check: here it lets everything through, and Node refuses to connect.
import { expect, test, vi } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import type * as permitModule from '../../../gateway/upstream/permit.ts'
import { opened, refused, request, tcpServer } from './harness.ts'

vi.mock('../../../gateway/upstream/permit.ts', async (original) => ({
  ...(await original<typeof permitModule>()),
  permit: (addresses: readonly string[]) => addresses,
}))

const openTo = (address: string) => createOpenUpstream({ resolve: async () => [address], dial: createDial() })

test.each(['127.0.0.1', '169.254.169.254', '10.0.0.1', '64:ff9b::7f00:1', '::1'])(
  '%s is not dialled, and no other attempt is made',
  async (address) => {
    await using server = await tcpServer(() => {})
    const error = await refused(request(server.port, { tls: 'opaque', allowAddresses: [] }), openTo(address))
    expect(error).toMatchObject({ code: 'address-blocked', facts: { attempts: 1 } })
    expect(server.connections()).toBe(0)
  },
)

test("the list has the destination's exceptions, and no other's", async () => {
  await using server = await tcpServer((socket) => socket.end('x'))
  const open = openTo('127.0.0.1')
  const allowed = request(server.port, { tls: 'opaque', allowAddresses: ['127.0.0.0/8'] })
  await using connection = await opened(allowed, open)
  expect(connection.facts.attempts).toBe(1)
  const other = request(server.port, { tls: 'opaque', allowAddresses: ['127.0.1.0/24'] })
  expect((await refused(other, open)).code).toBe('address-blocked')
})
