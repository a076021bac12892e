// `openssl s_client` against listeners on which the client names no destination: sni by -servername, and fixed. Also what
// only it can show of the handshake: that a session is never resumed.
import { describe, expect, test } from 'vitest'
import { partnerDestination, startPartner, toLoopback } from '../fixtures/partner.ts'
import type { Issued } from '../fixtures/pki.ts'
import { needProgram, type Ran, runWithInput } from '../fixtures/process.ts'
import { createWorld, startTestGateway } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'

const VERSIONS = ['-tls1_2', '-tls1_3'] as const

async function scene() {
  const program = await needProgram('openssl')
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.end(`you said ${chunk}`))
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners: `  - {name: names, address: "127.0.0.1:0", protocol: sni, minVersion: TLSv1.2, serverNames: {bank.egress.internal: partner}}
  - {name: one, address: "127.0.0.1:0", protocol: fixed, minVersion: TLSv1.2, destination: partner}`,
      destinations: partnerDestination(partner.port),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
      resolve: toLoopback,
    }),
  )
  const svid = await world.svid('/payments/api')
  const openssl = async (listener: string, shown: Issued | null, more: readonly string[]): Promise<Ran> => {
    const certificate =
      shown === null
        ? []
        : [
            ...[
              '-cert',
              await world.file('leaf.pem', shown.pem),
              '-key',
              await world.file('key.pem', shown.keyPem),
            ],
            ...['-cert_chain', await world.file('chain.pem', world.issuing.pem)],
          ]
    return runWithInput(
      program,
      [
        ...[
          's_client',
          '-connect',
          `127.0.0.1:${gateway.portOf(listener)}`,
          '-ign_eof',
          ...more,
          ...certificate,
        ],
        ...[
          '-CAfile',
          `${world.directory}/pki/bundle.pem`,
          '-verify_return_error',
          '-verify_hostname',
          'localhost',
        ],
      ],
      'hello\n',
      bareEnvironment(world.directory),
    )
  }
  const held = stack.move()
  return { world, partner, gateway, svid, openssl, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** What each listener needs to be told; fixed takes any name, or none. */
const LISTENERS: readonly (readonly [string, readonly string[]])[] = [
  ['names', ['-servername', 'bank.egress.internal']],
  ['one', ['-noservername']],
]

describe.for(LISTENERS)('openssl s_client on the listener %s', ([listener, named]) => {
  test.for(VERSIONS)('comes in by its SVID with %s', async (version) => {
    await using s = await scene()
    const ran = await s.openssl(listener, s.svid, [version, ...named])
    expect(ran.stdout).toContain('you said hello')
    expect(ran.stdout).toContain('Verify return code: 0 (ok)')
    expect(ran.code).toBe(0)
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      listener,
      workload: 'spiffe://example.org/payments/api',
      requested: { host: 'partner.test', port: s.partner.port },
      outcome: { code: 'closed' },
    })
  })

  test.for(VERSIONS)('gets nothing without a certificate with %s', async (version) => {
    await using s = await scene()
    const ran = await s.openssl(listener, null, [version, ...named])
    expect(ran.stdout).not.toContain('you said')
    expect(ran.code).not.toBe(0)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('client-certificate-missing')
    expect(s.partner.accepted()).toBe(0)
  })

  test('gets nothing where policy does not name it', async () => {
    await using s = await scene()
    const ran = await s.openssl(listener, await s.world.svid('/reports'), named)
    expect(ran.stdout).not.toContain('you said')
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('policy-denied')
    expect(s.partner.accepted()).toBe(0)
  })

  test.for(VERSIONS)('can resume no session with %s', async (version) => {
    await using s = await scene()
    const session = `${s.world.directory}/session.pem`
    const first = await s.openssl(listener, s.svid, [version, ...named, '-sess_out', session])
    expect(first.stdout).toMatch(/^New, /m)
    const second = await s.openssl(listener, s.svid, [version, ...named, '-sess_in', session])
    expect(second.stdout).toContain('you said hello')
    expect(second.stdout).toMatch(/^New, /m)
    expect(second.stdout).not.toMatch(/^Reused, /m)
  })
})

test('the sni listener resets a name that is not listed', async () => {
  await using s = await scene()
  const ran = await s.openssl('names', s.svid, ['-servername', 'elsewhere.test'])
  expect(ran.stdout).not.toContain('you said')
  expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('destination-unknown')
})
