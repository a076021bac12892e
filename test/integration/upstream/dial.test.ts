import { expect, test } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { tcpServer } from './harness.ts'

const signal = new AbortController().signal

test('connects to an IP address, half-open', async () => {
  await using server = await tcpServer((socket) => socket.pipe(socket))
  const socket = await createDial()({ address: '127.0.0.1', port: server.port }, signal)
  expect(socket.allowHalfOpen).toBe(true)
  expect(socket.remotePort).toBe(server.port)
  socket.destroy()
})

test('an error after the connection ends no process', async () => {
  await using server = await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
  const socket = await createDial()({ address: '127.0.0.1', port: server.port }, signal)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write('x')
  socket.resume()
  await closed
})

test('nobody listens: connect-refused', async () => {
  const server = await tcpServer(() => {})
  await server[Symbol.asyncDispose]()
  await expect(createDial()({ address: '127.0.0.1', port: server.port }, signal)).rejects.toMatchObject({
    code: 'connect-refused',
    message: `127.0.0.1:${server.port}: ECONNREFUSED`,
  })
})

test.each(['localhost', 'a.example', '', '127.1'])('never takes a name: %j', async (address) => {
  await expect(createDial()({ address, port: 1 }, signal)).rejects.toBeInstanceOf(TypeError)
})

test('an abort while it connects', async () => {
  await using server = await tcpServer(() => {})
  const client = new AbortController()
  const dialling = createDial()({ address: '127.0.0.1', port: server.port }, client.signal)
  client.abort()
  await expect(dialling).rejects.toMatchObject({ code: 'relay-client-reset' })
  await expect.poll(server.connections).toBe(0)
})

test('after an abort it does not begin', async () => {
  const aborted = createDial()({ address: '127.0.0.1', port: 1 }, AbortSignal.abort())
  await expect(aborted).rejects.toMatchObject({ code: 'relay-client-reset' })
})
