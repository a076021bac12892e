// What an ended session adds to the old generation of a gateway process, where only a collection of the whole heap finds it.
import { once } from 'node:events'
import http2 from 'node:http2'
import { describe, expect, test } from 'vitest'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { startPartner } from '../../fixtures/partner.ts'
import { startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld, type World } from '../../fixtures/world.ts'

const KIB = 1024
/** Enough that what V8 makes once for all of them is a small part of each. */
const SESSIONS = 250
const AT_ONCE = 10

/**
 * By SIGUSR2, the first time all is collected, and the second time the young: the old has grown by so much. V8 is told to let it
 * grow, or it would collect all in between.
 */
const PRELOAD = `import v8 from 'node:v8'
import vm from 'node:vm'
v8.setFlagsFromString('--expose_gc')
v8.setFlagsFromString('--heap-growing-percent=1000')
const collect = vm.runInNewContext('gc')
const old = () => v8.getHeapSpaceStatistics().filter((s) => !s.space_name.startsWith('new_')).reduce((a, s) => a + s.space_used_size, 0)
let before = 0
process.on('SIGUSR2', () => {
  const type = before === 0 ? 'major' : 'minor'
  collect({ type })
  collect({ type })
  process.stderr.write(before === 0 ? 'collected\\n' : 'grown by ' + (old() - before) + '\\n')
  before = old()
})
`

async function configOf(world: World, port: number): Promise<string> {
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
destinations:
  - {name: partner, hosts: [partner.localhost], ports: [${port}], roots: "file:pki/partner-ca.pem", allowAddresses: [127.0.0.0/8]}
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
}

/** Bytes of each session. */
async function growth(
  world: World,
  open: (port: number, target: string) => Promise<() => Promise<unknown>>,
): Promise<number> {
  await using partner = await startPartner(world, (socket) => socket.pipe(socket), {
    name: 'partner.localhost',
  })
  const config = await configOf(world, partner.port)
  const env = { NODE_OPTIONS: `--import ${await world.file('preload.mjs', PRELOAD)}` }
  await using gateway = startSallyport(['gateway', '--config', config], { env })
  await gateway.event('ready')
  const listening = gateway.events('listening').find(({ listener }) => listener === 'proxy')
  const port = Number(String(listening?.address).split(':').at(-1))
  const session = await open(port, `partner.localhost:${partner.port}`)
  let done = 0
  const run = async () => {
    for (let begun = 0; begun < SESSIONS; begun += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, session))
      done += AT_ONCE
      await expect.poll(() => gateway.events('session').length, { interval: 5 }).toBe(done)
    }
  }
  await run()
  gateway.signal('SIGUSR2')
  await expect.poll(gateway.stderr).toContain('collected')
  await run()
  gateway.signal('SIGUSR2')
  await expect.poll(gateway.stderr).toContain('grown')
  return Number(/grown by (-?\d+)/.exec(gateway.stderr())?.[1]) / SESSIONS
}

describe('an ended session leaves to the old generation little more than Node’s own part of it', () => {
  test('over HTTP/1.1', async () => {
    await using world = await createWorld()
    const svid = await world.svid('/payments/api')
    const grown = await growth(world, async (port, target) => async () => {
      const { socket } = await connect(world, port, { svid, target })
      socket.write('hello')
      socket.resume()
      await once(socket, 'data')
      socket.end()
      await once(socket, 'close')
    })
    expect(grown).toBeLessThan(15 * KIB)
  })

  test('over HTTP/2', async () => {
    await using world = await createWorld()
    const svid = await world.svid('/payments/api')
    const grown = await growth(world, async (port, target) => {
      const tls = await connectTls(world, port, { svid, tls: { ALPNProtocols: ['h2'] } })
      const client = http2.connect('https://localhost', { createConnection: () => tls })
      return async () => {
        const stream = client.request({ ':method': 'CONNECT', ':authority': target })
        await once(stream, 'response')
        stream.write('hello')
        stream.resume()
        await once(stream, 'data')
        stream.end()
        await once(stream, 'close')
      }
    })
    expect(grown).toBeLessThan(13 * KIB)
  })
})
