// One request of the authority's client over a socket: what a wrong server can do to it, and what it cannot.
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { requestAuthority } from '../../../common/authority/request.ts'

async function start(listener: http.RequestListener) {
  const server = http.createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const get = (url: string, signal?: AbortSignal) =>
  requestAuthority({
    ...{ url, method: 'GET', headers: {}, body: null, ca: null },
    ...(signal === undefined ? {} : { signal }),
  })

test('a redirect is an answer, and nobody follows it with a proof', async () => {
  const asked: (string | undefined)[] = []
  await using server = await start((request, response) => {
    asked.push(request.url)
    response.writeHead(307, { location: '/elsewhere' }).end('moved')
  })
  expect(await get(server.url)).toEqual({ status: 307, body: 'moved' })
  expect(asked).toEqual(['/'])
})

test('an answer without end is cut at 512 KiB', async () => {
  let closed = false
  await using server = await start((_request, response) => {
    const more = () => {
      let room = true
      while (room && !response.destroyed) room = response.write(Buffer.alloc(64 * 1024, 'x'))
    }
    response.on('drain', more)
    response.on('close', () => {
      closed = true
    })
    more()
  })
  await expect(get(server.url)).rejects.toMatchObject({
    code: 'authority-unreachable',
    message: expect.stringContaining('the answer is over 512 KiB'),
  })
  await expect.poll(() => closed).toBe(true)
})

test('a server that says nothing is left when the signal says so', async () => {
  const stop = new AbortController()
  await using server = await start(() => stop.abort())
  await expect(get(server.url, stop.signal)).rejects.toMatchObject({ code: 'authority-unreachable' })
})

test('half an answer is none', async () => {
  await using server = await start((_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half')
    setImmediate(() => response.destroy())
  })
  await expect(get(server.url)).rejects.toMatchObject({ code: 'authority-unreachable' })
})
