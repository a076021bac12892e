import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../gateway/upstream/types.ts'
import { connect, readBody } from '../../fixtures/connect-client.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const DESTINATIONS = `  - {name: partner, hosts: [partner.test], ports: [443]}
  - {name: metadata, hosts: ["169.254.169.254"], ports: [80], tls: opaque}
  - {name: inside, hosts: [inside.test], ports: [443]}
`
const POLICY = `
@id("payments") permit (principal == Workload::"spiffe://example.org/payments", action, resource);
`

/** A resolver and a dial that count what they are asked and give nothing away. */
function trapped(addresses: readonly string[]) {
  const asked: string[] = []
  const dialled: string[] = []
  return {
    asked,
    dialled,
    resolve: async (host: string) => {
      asked.push(host)
      return addresses
    },
    dial: async ({ address }: { address: string }): Promise<never> => {
      dialled.push(address)
      throw new UpstreamError('connect-refused', 'trapped')
    },
  }
}

describe('deny means silence', () => {
  test.for<[string, string, string, string]>([
    ['policy permits nothing to this workload', '/reports', 'partner.test:443', 'policy-denied'],
    ['no destination matches the host', '/payments', 'elsewhere.test:443', 'destination-unknown'],
    ['no destination matches the port', '/payments', 'partner.test:8443', 'destination-unknown'],
    ['a subdomain is not the host', '/payments', 'a.partner.test:443', 'destination-unknown'],
  ])('no DNS query and no dial when %s', async ([, workload, target, code]) => {
    await using world = await createWorld()
    const trap = trapped(['93.184.216.34'])
    await using gateway = await startTestGateway(world, {
      destinations: DESTINATIONS,
      policy: POLICY,
      ...trap,
    })
    const answer = await connect(world, gateway.port, { svid: await world.svid(workload), target })
    expect(answer.status).toBe(403)
    const [record] = await gateway.closed(1)
    expect(record?.outcome.code).toBe(code)
    expect(trap.asked).toEqual([])
    expect(trap.dialled).toEqual([])
  })

  test('the trap works: what is allowed is resolved and dialled', async () => {
    await using world = await createWorld()
    const trap = trapped(['93.184.216.34'])
    await using gateway = await startTestGateway(world, {
      destinations: DESTINATIONS,
      policy: POLICY,
      ...trap,
    })
    const answer = await connect(world, gateway.port, { svid: await world.svid('/payments') })
    expect(answer.status).toBe(502)
    expect(trap.asked).toEqual(['partner.test'])
    expect(trap.dialled[0]).toBe('93.184.216.34')
  })

  test('an address that its class forbids is never dialled', async () => {
    await using world = await createWorld()
    const trap = trapped(['10.1.2.3', '169.254.169.254', '127.0.0.1'])
    await using gateway = await startTestGateway(world, {
      destinations: DESTINATIONS,
      policy: POLICY,
      ...trap,
    })
    const svid = await world.svid('/payments')
    const answer = await connect(world, gateway.port, { svid, target: 'inside.test:443' })
    expect(answer.status).toBe(403)
    expect(trap.dialled).toEqual([])
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('address-private')
  })

  test('what a client is told differs by the session id alone, whatever the reason', async () => {
    await using world = await createWorld()
    const trap = trapped(['10.1.2.3'])
    await using gateway = await startTestGateway(world, {
      destinations: DESTINATIONS,
      policy: POLICY,
      ...trap,
    })
    const answers: string[] = []
    for (const [workload, target] of [
      ['/reports', 'partner.test:443'],
      ['/payments', 'elsewhere.test:443'],
      ['/payments', 'inside.test:443'],
    ] as const) {
      const answer = await connect(world, gateway.port, { svid: await world.svid(workload), target })
      answers.push(`${answer.head}\r\n\r\n${await readBody(answer)}`)
    }
    const records = await gateway.closed(3)
    expect(records.map(({ outcome }) => outcome.code)).toEqual([
      'policy-denied',
      'destination-unknown',
      'address-private',
    ])
    const anonymous = answers.map((text, index) => text.replaceAll(records[index]?.id ?? '?', 'ID'))
    expect(new Set(anonymous).size).toBe(1)
    expect(anonymous[0]).toContain('error=http_request_denied')
    expect(anonymous[0]).toContain('ID')
  })
})
