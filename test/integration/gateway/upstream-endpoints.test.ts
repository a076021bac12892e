// The breaker, the DNS cache and keep-alive as a client, an auditor and an operator meet them: through the gateway.
import { readFile } from 'node:fs/promises'
import type net from 'node:net'
import { expect, test } from 'vitest'
import { UpstreamError } from '../../../gateway/upstream/types.ts'
import { connect, readBody } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, startTcp, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'
import { NONE, withTtl } from '../upstream/dns-answers.ts'
import { fakeDns } from '../upstream/fake-dns.ts'

const DESTINATIONS = `  - {name: dead, hosts: [dead.test], ports: [443], tls: opaque, connect: {attempts: 1}}
  - {name: other, hosts: [other.test], ports: [443], tls: opaque, connect: {attempts: 1}}
`

test('an endpoint that failed again and again: one probe goes up, the others are refused at once', async () => {
  await using world = await createWorld()
  const svid = await world.svid('/payments')
  const dialled: string[] = []
  let silent = false
  await using gateway = await startTestGateway(world, {
    destinations: DESTINATIONS,
    resolve: async (host) => [host === 'dead.test' ? '93.184.216.34' : '93.184.216.35'],
    dial: ({ address }) => {
      dialled.push(address)
      if (silent) return new Promise(() => {})
      return Promise.reject(new UpstreamError('connect-refused', 'as told'))
    },
  })
  const ask = (target: string) => connect(world, gateway.port, { svid, target })
  for (let session = 0; session < 5; session += 1) expect((await ask('dead.test:443')).status).toBe(502)
  silent = true
  const probe = ask('dead.test:443').catch(() => null)
  await expect.poll(() => dialled.length).toBe(6)
  const refused = await ask('dead.test:443')
  expect(refused.status).toBe(503)
  expect(refused.head).toMatch(/Proxy-Status: .*error=destination_unavailable/i)
  await readBody(refused)
  expect(dialled).toHaveLength(6)
  const records = await gateway.closed(6)
  expect(records.at(-1)).toMatchObject({
    outcome: { code: 'connect-breaker-open', by: 'gateway' },
    upstream: { address: null, attempts: 0 },
  })
  expect(await gateway.metric('sallyport_endpoints_set_aside')).toBe(1)
  expect(await gateway.metric('sallyport_dial_attempts_total{result="connect-refused"}')).toBe(5)
  silent = false
  expect((await ask('other.test:443')).status).toBe(502)
  expect(dialled.at(-1)).toBe('93.184.216.35')
  await gateway.gateway.close()
  await probe
})

const DNS_CASES: Record<string, { keys: string; asked: number }> = {
  'a minimum of an hour: asked once': { keys: ', minTtl: 1h, maxTtl: 1h', asked: 1 },
  'no minimum and a TTL of 0: asked each time': { keys: ', minTtl: 0s', asked: 3 },
}
for (const [name, { keys, asked }] of Object.entries(DNS_CASES)) {
  test(`dns in gateway.yaml: ${name}`, async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.end())
    await using dns = await fakeDns((type) => (type === 'A' ? withTtl('127.0.0.1', 0) : NONE))
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      extra: `dns: {servers: ["${dns.address}"]${keys}}`,
    })
    const svid = await world.svid('/payments')
    for (const _ of [1, 2, 3]) {
      const answer = await connect(world, gateway.port, { svid, target: `partner.test:${partner.port}` })
      expect(answer.status).toBe(200)
      answer.socket.destroy()
    }
    expect(dns.queries.filter((query) => query === 'A partner.test')).toHaveLength(asked)
    expect(await gateway.metric('sallyport_dns_cache_hosts')).toBe(1)
    expect(await gateway.metric('sallyport_dns_resolutions_total{result="asked"}')).toBe(asked)
    expect(await gateway.metric('sallyport_dns_resolutions_total{result="cached"}')).toBe(3 - asked)
  })
}

/** When the kernel probes an idle connection of this process next, in seconds; null while another timer runs. */
async function keepAliveSeconds(localPort: number, remotePort: number): Promise<number | null> {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  const found = lines.find((line) => line[1]?.endsWith(hex(localPort)) && line[2]?.endsWith(hex(remotePort)))
  const [kind, ticks] = (found?.[5] ?? '').split(':')
  // proc_pid_net(5): 02 is the keep-alive timer, in ticks of a hundredth of a second.
  return kind === '02' ? Number.parseInt(ticks ?? '', 16) / 100 : null
}

test('both legs are probed well before 350 s, after which NAT gateways and balancers forget them', async () => {
  await using world = await createWorld()
  const raws: net.Socket[] = []
  await using server = await startTcp((raw) => raws.push(raw))
  await using gateway = await startTestGateway(world, {
    destinations: `  - {name: plain, hosts: [partner.test], ports: [${server.port}], tls: opaque, allowAddresses: [127.0.0.0/8]}\n`,
    resolve: toLoopback,
  })
  const svid = await world.svid('/payments')
  const answer = await connect(world, gateway.port, { svid, target: `partner.test:${server.port}` })
  expect(answer.status).toBe(200)
  const legs = [
    [gateway.port, answer.socket.localPort],
    [raws[0]?.remotePort, server.port],
  ] as const
  for (const [local = 0, remote = 0] of legs) {
    const seconds = async () => (await keepAliveSeconds(local, remote)) ?? Number.POSITIVE_INFINITY
    await expect.poll(seconds).toBeLessThanOrEqual(60)
  }
  answer.socket.destroy()
})
