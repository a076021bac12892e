// examples/connect/lambda: what a function does with its identity, through a real gateway.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

interface Example {
  openTunnel(options: { proxy: string; directory: string; target: string }): Promise<object>
  ask(socket: object, target: string, path: string): Promise<{ statusCode: number; body: string }>
}

test('reaches the service, and says why where it may not', async () => {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello'))
    }),
  )
  const destinations = partnerDestination(partner.port)
  const gateway = stack.use(await startTestGateway(world, { destinations, resolve: toLoopback }))
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-lambda-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const { chainPem, keyPem } = await world.svid('/billing/invoices')
  await mkdir(directory, { recursive: true })
  await writeFile(path.join(directory, 'certificate.pem'), chainPem)
  await writeFile(path.join(directory, 'key.pem'), keyPem)
  await writeFile(path.join(directory, 'bundle.pem'), world.root.pem)
  const file = '../../../examples/connect/lambda/index.mjs'
  const example = (await import(/* @vite-ignore */ file)) as Example
  const proxy = `https://localhost:${gateway.port}`
  const target = `partner.test:${partner.port}`
  const socket = await example.openTunnel({ proxy, directory, target })
  expect(await example.ask(socket, target, '/')).toEqual({ statusCode: 200, body: 'hello' })
  await expect(example.openTunnel({ proxy, directory, target: 'other.test:443' })).rejects.toThrow(
    /the gateway answered 403 .*http_request_denied/,
  )
})
