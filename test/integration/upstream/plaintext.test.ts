// Servers that answer a ClientHello in another protocol: the first failure says so, the next one says which.
import type net from 'node:net'
import { randomBytes } from 'node:crypto'
import tls from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import type { OpenUpstream } from '../../../gateway/upstream/types.ts'
import { createPki, opened, type Pki, readAll, readSome, refused, request, tcpServer } from './harness.ts'

let pki: Pki
beforeAll(async () => {
  pki = await createPki()
})

const wayOut = (): OpenUpstream =>
  createOpenUpstream({ resolve: async () => ['127.0.0.1'], dial: createDial() })

const first = (text: string) => (socket: net.Socket) =>
  void socket.resume().write(Buffer.from(text, 'latin1'))
const afterHello = (text: string) => (socket: net.Socket) =>
  void socket.once('data', () => socket.end(Buffer.from(text, 'latin1')))

const SERVERS: Record<string, { on: (socket: net.Socket) => void; says: string }> = {
  SSH: { on: first('SSH-2.0-OpenSSH_9.2p1\r\n'), says: 'it looks like SSH: "SSH-2.0-OpenSSH_9.2p1\\r\\n"' },
  SMTP: {
    on: first('220 mail.example ESMTP\r\n'),
    says: 'it looks like SMTP: "220 mail.example ESMTP\\r\\n"',
  },
  HTTP: { on: afterHello('HTTP/1.1 400 Bad Request\r\n\r\n'), says: 'it looks like HTTP: "HTTP/1.1 400 Bad' },
  MySQL: {
    on: first('\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0'),
    says: 'it looks like MySQL: "J\\x00\\x00\\x00\\n8.0.36\\x00',
  },
  'a protocol of its own': { on: first('hello <>\x1b[2J'), says: 'it begins with "hello <>\\x1b[2J"' },
}

for (const [name, { on, says }] of Object.entries(SERVERS)) {
  test(`${name}: told at the second failure, without another connection`, async () => {
    let connections = 0
    await using server = await tcpServer((socket) => {
      connections += 1
      on(socket)
    })
    const open = wayOut()
    const wanted = request(server.port)
    const errors = [await refused(wanted, open), await refused(wanted, open), await refused(wanted, open)]
    expect(errors.map(({ code }) => code)).toEqual(Array(3).fill('upstream-tls-plaintext'))
    expect(errors[0]?.message).toMatch(/^[\w ]+$/)
    expect(errors[1]?.message).toContain(says)
    expect(errors[2]?.message).toBe(errors[1]?.message)
    expect(connections).toBe(3)
    await expect.poll(server.connections).toBe(0)
  })
}

test('another host of the destination is not looked at', async () => {
  await using server = await tcpServer(first('SSH-2.0-x\r\n'))
  const open = wayOut()
  const wanted = request(server.port, { hosts: [{ kind: 'any' }] })
  await refused(wanted, open)
  const other = await refused({ ...wanted, host: 'other.example' }, open)
  expect(other.message).not.toContain('SSH')
})

test('a server that has turned to TLS is served, both ways and to both ends', async () => {
  const sent = randomBytes(3 * 1024 * 1024)
  const { chainPem: cert, keyPem: key } = pki.server
  const secure = tls.createServer({ cert, key, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write(sent))
    socket.on('end', () => socket.end('after your end')).resume()
  })
  let plain = true
  await using server = await tcpServer(
    (socket) => {
      if (plain)
        socket
          .on('end', () => socket.end())
          .resume()
          .write('220 not yet\r\n')
      else secure.emit('connection', socket)
    },
    { allowHalfOpen: true },
  )
  const open = wayOut()
  const wanted = request(server.port, { roots: [pki.servers.pem] })
  await refused(wanted, open)
  plain = false
  {
    await using connection = await opened(wanted, open)
    connection.stream.end('hello')
    const received = await readAll(connection)
    expect(received.subarray(0, sent.length).equals(sent)).toBe(true)
    expect(received.subarray(sent.length).toString()).toBe('after your end')
  }
  await expect.poll(server.connections).toBe(0)
  // And is not looked at again.
  plain = true
  expect((await refused(wanted, open)).message).not.toContain('220')
})

test('a reset by the gateway reaches the server through it', async () => {
  const { chainPem: cert, keyPem: key } = pki.server
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  const secure = tls.createServer({ cert, key }, (socket) => {
    socket
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
      .resume()
      .write('x')
  })
  let plain = true
  await using server = await tcpServer((socket) => {
    if (plain) return void socket.resume().write('220 not yet\r\n')
    secure.emit('connection', socket)
  })
  const open = wayOut()
  const wanted = request(server.port, { roots: [pki.servers.pem] })
  await refused(wanted, open)
  plain = false
  await using connection = await opened(wanted, open)
  expect(await readSome(connection)).toBe('x')
  connection.raw.resetAndDestroy()
  expect(await ended).toBe('ECONNRESET')
})
