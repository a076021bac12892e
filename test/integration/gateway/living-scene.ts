// Sessions that stay open through a gateway whose configuration, roots and clock change under them.
import { rename } from 'node:fs/promises'
import path from 'node:path'
import type { TLSSocket } from 'node:tls'
import { expect } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { type Ending, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGatewayOptions, type World } from '../../fixtures/world.ts'

/** A session that echoes; `alive` fails where it is over. */
export interface Open {
  readonly ending: Promise<Ending>
  alive(): Promise<void>
  close(): void
}

export interface SceneOptions extends Partial<TestGatewayOptions> {
  /** YAML of the destination. */
  readonly more?: string
  /** Files that must be there before the gateway starts. */
  readonly prepare?: (world: World) => Promise<void>
}

export async function scene({ prepare, ...options }: SceneOptions = {}) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  await prepare?.(world)
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(chunk))
      socket.on('end', () => socket.end())
    }),
  )
  const destination = (more = '') => partnerDestination(partner.port, more)
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: destination(options.more),
      resolve: toLoopback,
      watch: true,
      ...options,
    }),
  )
  const open = async (svid: Issued): Promise<Open> => {
    const answer = await connect(world, gateway.port, { svid, target: `partner.test:${partner.port}` })
    expect(answer.status).toBe(200)
    return follow(answer.socket)
  }
  return {
    ...{ world, gateway, partner, destination, open },
    svid: (name: string, more = {}) => world.svid(name, more),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

export function follow(socket: TLSSocket): Open {
  let heard = 0
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.length
  })
  const ending = readToEnding(socket)
  return {
    ending,
    async alive() {
      const before = heard
      socket.write('ping')
      await expect.poll(() => heard).toBe(before + 4)
    },
    close: () => socket.destroy(),
  }
}

export type Scene = Awaited<ReturnType<typeof scene>>

/** The outcome of the session that was closed, which is one. */
export async function outcome({ gateway }: Scene) {
  const [record, ...more] = await gateway.closed(1)
  expect(more).toEqual([])
  return record?.outcome
}

export async function swap(world: World, name: string, text: string): Promise<void> {
  await world.file(`${name}.new`, text)
  await rename(path.join(world.directory, `${name}.new`), path.join(world.directory, name))
}
