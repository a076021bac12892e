// Mode report lets through what policy denies and says so; nothing else is softened by it.
import { expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { startTcp } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway, type TestGatewayOptions } from '../../fixtures/world.ts'

const POLICY = `
@id("payments") permit (principal == Workload::"spiffe://example.org/payments", action, resource);
@id("no-reports") forbid (principal == Workload::"spiffe://example.org/reports", action, resource == Destination::"echo");
@id("broken") forbid (principal, action, resource == Destination::"broken") when { resource.port * 9223372036854775807 > 0 };
`

const at = (port: number, echo = '', other = '') => `
  - {name: echo, hosts: [echo.test], ports: [${port}], tls: opaque, allowAddresses: [127.0.0.0/8]${echo}}
  - {name: broken, hosts: [broken.test], ports: [${port}], tls: opaque, allowAddresses: [127.0.0.0/8]${other}}
  - {name: inside, hosts: [inside.test], ports: [${port}], tls: opaque}
`

async function ask(
  { mode = 'enforce', echo, other }: { mode?: 'enforce' | 'report'; echo?: string; other?: string },
  workload: string,
  host: string,
) {
  await using world = await createWorld()
  await using server = await startTcp((socket) => socket.end('hello'))
  const options: TestGatewayOptions = { destinations: at(server.port, echo, other), policy: POLICY, mode }
  await using gateway = await startTestGateway(world, { ...options, resolve: async () => ['127.0.0.1'] })
  const target = `${host}:${server.port}`
  const answer = await connect(world, gateway.port, { svid: await world.svid(workload), target })
  answer.socket.destroy()
  const [record] = await gateway.closed(1)
  const opened = gateway.events().find((event) => event.event === 'session.opened')
  return {
    status: answer.status,
    code: record?.outcome.code,
    decision: record?.decision,
    opened: opened?.decision ?? null,
    counted: await gateway.metric('sallyport_decisions_total{result="deny",mode="report"}'),
  }
}

test('a denial is let through, and the records say what policy said', async () => {
  const denial = { result: 'deny', mode: 'report', policies: ['no-reports'], cached: false }
  const found = await ask({ mode: 'report' }, '/reports', 'echo.test')
  expect(found).toMatchObject({ status: 200, decision: denial, opened: denial, counted: 1 })
  expect(found.code).not.toMatch(/^policy-/)
})

test('where no permit applies, no policy is named', async () => {
  const denial = { result: 'deny', mode: 'report', policies: [], cached: false }
  expect(await ask({ mode: 'report' }, '/other', 'echo.test')).toMatchObject({
    status: 200,
    decision: denial,
  })
})

test('what is allowed says the mode too', async () => {
  const allowed = { result: 'allow', mode: 'report', policies: ['payments'], cached: false }
  expect(await ask({ mode: 'report' }, '/payments', 'echo.test')).toMatchObject({
    status: 200,
    decision: allowed,
  })
})

test('a policy that fails denies in mode report too, and is named', async () => {
  const denial = { result: 'deny', mode: 'report', policies: ['broken'], cached: false }
  expect(await ask({ mode: 'report' }, '/payments', 'broken.test')).toMatchObject({
    ...{ status: 403, code: 'policy-error', opened: null },
    decision: denial,
  })
})

test('no destination and an address of a refused class stay refused', async () => {
  expect(await ask({ mode: 'report' }, '/reports', 'elsewhere.test')).toMatchObject({
    ...{ status: 403, code: 'destination-unknown', decision: null },
  })
  expect(await ask({ mode: 'report' }, '/reports', 'inside.test')).toMatchObject({
    ...{ status: 403, code: 'address-loopback', opened: null },
  })
})

test('one destination in mode report is the only one that lets through', async () => {
  const modes = { echo: ', policyMode: report' }
  expect(await ask(modes, '/reports', 'echo.test')).toMatchObject({
    status: 200,
    decision: { mode: 'report' },
  })
  expect(await ask(modes, '/reports', 'inside.test')).toMatchObject({
    ...{ status: 403, code: 'policy-denied', decision: { result: 'deny', mode: 'enforce' } },
  })
})

test('one destination enforces where all others report', async () => {
  const modes = { mode: 'report', echo: ', policyMode: enforce' } as const
  expect(await ask(modes, '/reports', 'echo.test')).toMatchObject({
    ...{ status: 403, code: 'policy-denied', decision: { result: 'deny', mode: 'enforce' }, opened: null },
  })
})
