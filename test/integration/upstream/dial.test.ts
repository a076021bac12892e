import { BlockList } from 'node:net'
import { expect, test } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { tcpServer } from './harness.ts'

const signal = new AbortController().signal
/** Blocks nothing. */
const blockList = new BlockList()

test('connects to an IP address, half-open', async () => {
  await using server = await tcpServer((socket) => socket.pipe(socket))
  const socket = await createDial()({ address: '127.0.0.1', port: server.port, blockList }, signal)
  expect(socket.allowHalfOpen).toBe(true)
  expect(socket.remotePort).toBe(server.port)
  socket.destroy()
})

test('an error after the connection ends no process', async () => {
  await using server = await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
  const socket = await createDial()({ address: '127.0.0.1', port: server.port, blockList }, signal)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write('x')
  socket.resume()
  await closed
})

test('nobody listens: connect-refused', async () => {
  const server = await tcpServer(() => {})
  await server[Symbol.asyncDispose]()
  await expect(
    createDial()({ address: '127.0.0.1', port: server.port, blockList }, signal),
  ).rejects.toMatchObject({
    code: 'connect-refused',
    message: `127.0.0.1:${server.port}: ECONNREFUSED`,
  })
})

test.each(['localhost', 'a.example', '', '127.1'])('never takes a name: %j', async (address) => {
  await expect(createDial()({ address, port: 1, blockList }, signal)).rejects.toBeInstanceOf(TypeError)
})

test('an abort while it connects', async () => {
  await using server = await tcpServer(() => {})
  const client = new AbortController()
  const dialling = createDial()({ address: '127.0.0.1', port: server.port, blockList }, client.signal)
  client.abort()
  await expect(dialling).rejects.toMatchObject({ code: 'relay-client-reset' })
  await expect.poll(server.connections).toBe(0)
})

test('after an abort it does not begin', async () => {
  const aborted = createDial()({ address: '127.0.0.1', port: 1, blockList }, AbortSignal.abort())
  await expect(aborted).rejects.toMatchObject({ code: 'relay-client-reset' })
})

test.each([
  ['an address', (list: BlockList) => list.addAddress('127.0.0.1')],
  ['a range', (list: BlockList) => list.addRange('127.0.0.0', '127.255.255.255')],
  // As which the kernel would dial it.
  [
    'a range of mapped addresses',
    (list: BlockList) => list.addRange('::ffff:127.0.0.0', '::ffff:127.0.0.9', 'ipv6'),
  ],
])('%s of the block list is not dialled', async (_name, block) => {
  await using server = await tcpServer(() => {})
  const list = new BlockList()
  block(list)
  const dialling = createDial()({ address: '127.0.0.1', port: server.port, blockList: list }, signal)
  await expect(dialling).rejects.toMatchObject({ code: 'address-blocked' })
  expect(server.connections()).toBe(0)
})
