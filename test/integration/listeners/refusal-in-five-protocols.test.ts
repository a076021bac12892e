// What a client of SMTP, IMAP, POP3, LDAP or MySQL reads where the gateway refuses it on a listener without HTTP, and how
// a CONNECT client hears of a server that will not begin TLS.
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noticeOfDisconnection, response } from '../../../gateway/upstream/starttls/ldap/messages.ts'
import { errorPacket } from '../../../gateway/upstream/starttls/mysql/packets.ts'
import { connect, readBody } from '../../fixtures/connect-client.ts'
import { toLoopback } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import {
  CLIENT_FIRST,
  HONEST,
  type Scripted,
  SCRIPTED,
  type ScriptedServer,
  startScriptedServer,
} from '../../fixtures/start-tls-server.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const stack = new AsyncDisposableStack()
const servers = new Map<Scripted, ScriptedServer>()
let world: World
let gateway: TestGateway
let payments: Issued
let other: Issued

beforeAll(async () => {
  world = stack.use(await createWorld())
  payments = await world.svid('/payments')
  other = await world.svid('/other')
  const certificate = await world.partnerCa.issue({ cn: 'service.test', dns: ['service.test'] })
  const destinations: string[] = []
  const listeners = ['  - {name: proxy, address: "127.0.0.1:0", protocol: connect}']
  for (const name of SCRIPTED) {
    // Its certificate is good for the destination, and its CA unknown to `broken`.
    const server = stack.use(await startScriptedServer(certificate, { says: HONEST[name] }))
    servers.set(name, server)
    for (const [suffix, roots] of [
      ['', 'partner-ca'],
      ['-broken', 'bundle'],
    ] as const) {
      destinations.push(
        `  - {name: ${name}${suffix}, hosts: [${name}${suffix}.test], ports: [${server.port}], serverName: service.test, startTls: ${name}, roots: "file:pki/${roots}.pem", allowAddresses: [127.0.0.0/8]}`,
      )
      listeners.push(
        `  - {name: ${name}${suffix}, address: "127.0.0.1:0", protocol: fixed, destination: ${name}${suffix}}`,
      )
    }
  }
  gateway = stack.use(
    await startTestGateway(world, {
      listeners: listeners.join('\n'),
      destinations: destinations.join('\n'),
      policy:
        '@id("p") permit (principal in Path::"spiffe://example.org", action, resource) unless { principal == Workload::"spiffe://example.org/other" };',
      resolve: toLoopback,
    }),
  )
})
afterAll(() => stack.disposeAsync())

/** What a client that speaks the protocol inside its mTLS reads until the end. */
async function ask(listener: string, protocol: Scripted, svid: Issued | null) {
  const before = gateway.records().length
  const raw = await connectRaw(gateway.portOf(listener))
  const shown = svid === null ? {} : { cert: svid.chainPem, key: svid.keyPem }
  const socket = tls.connect({
    socket: raw,
    ca: world.root.pem,
    checkServerIdentity: () => undefined,
    ...shown,
  })
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('secureConnect', resolve))
  const ending = readToEnding(socket)
  if (protocol === 'ldap') socket.write(CLIENT_FIRST.ldap)
  const { how, data } = await ending
  socket.destroy()
  const record = (await gateway.closed(before + 1))[before]
  return { how, data: data.toString('latin1'), code: record?.outcome.code, id: record?.id ?? '' }
}

const BIND_RESPONSE = 0x61

function expected(name: Scripted, kind: 'denied' | 'unavailable', text: string): string {
  const denied = kind === 'denied'
  const ldapCode = denied ? 50 : 52
  const words: Record<Scripted, string | Buffer> = {
    smtp: `${denied ? '554 5.7.1' : '421 4.3.2'} ${text}\r\n`,
    imap: `* BYE ${denied ? '' : '[UNAVAILABLE] '}${text}\r\n`,
    pop3: `-ERR ${text}\r\n`,
    ldap: Buffer.concat([response(BIND_RESPONSE, 1, ldapCode, text), noticeOfDisconnection(ldapCode, text)]),
    mysql: errorPacket(0, denied ? 1045 : 1040, null, text),
  }
  const said = words[name]
  return typeof said === 'string' ? said : said.toString('latin1')
}

describe.for(SCRIPTED)('a client of %s', (name) => {
  test('whom policy denies is told no more than that, and the server hears nothing', async () => {
    const connections = servers.get(name)?.connections()
    const { how, data, code, id } = await ask(name, name, other)
    expect({ how, code }).toEqual({ how: 'end', code: 'policy-denied' })
    expect(data).toBe(expected(name, 'denied', `sallyport denied this connection (session ${id})`))
    expect(servers.get(name)?.connections()).toBe(connections)
  })

  test('without a certificate is told that', async () => {
    const { data, code, id } = await ask(name, name, null)
    expect(code).toBe('client-certificate-missing')
    expect(data).toBe(
      expected(name, 'denied', `sallyport refused this client: client-certificate-missing (session ${id})`),
    )
  })

  test('whose server shows a wrong certificate is told to come again, and not why', async () => {
    const { how, data, code, id } = await ask(`${name}-broken`, name, payments)
    expect({ how, code }).toEqual({ how: 'end', code: 'upstream-tls-certificate-untrusted' })
    expect(data).toBe(
      expected(name, 'unavailable', `sallyport cannot open this connection now (session ${id})`),
    )
  })

  test('reaches the server through a tunnel of CONNECT', async () => {
    const port = servers.get(name)?.port ?? 0
    const before = gateway.records().length
    const { status, socket } = await connect(world, gateway.port, {
      svid: payments,
      target: `${name}.test:${port}`,
    })
    expect(status).toBe(200)
    const told = servers.get(name)?.told().length ?? 0
    expect(told).toBeGreaterThan(0)
    socket.destroy()
    const record = (await gateway.closed(before + 1))[before]
    expect(record?.upstream).toMatchObject({ nameProof: 'certificate', serverName: 'service.test' })
  })
})

test('a server that will not begin TLS is 502 to a client of CONNECT, and its words are in the record alone', async () => {
  const certificate = await world.partnerCa.issue({ cn: 'service.test', dns: ['service.test'] })
  await using liar = await startScriptedServer(certificate, {
    says: ['220 mx.test\r\n', '250 mx.test\u001b[31m\r\n', '220 x\r\n'],
    after: 'plain',
  })
  await using place = await startTestGateway(world, {
    destinations: `  - {name: mail, hosts: [mail.test], ports: [${liar.port}], startTls: smtp, allowAddresses: [127.0.0.0/8]}`,
    resolve: toLoopback,
  })
  const answered = await connect(world, place.port, { svid: payments, target: `mail.test:${liar.port}` })
  expect(answered.status).toBe(502)
  expect(await readBody(answered)).not.toContain('mx.test')
  expect((await place.closed(1))[0]?.outcome).toMatchObject({
    code: 'upstream-starttls-refused',
    by: 'upstream',
    detail: 'the server does not offer STARTTLS',
  })
  expect(liar.heard()).toEqual(['EHLO [127.0.0.1]\r\n'])
})
