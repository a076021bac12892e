// The way up to servers of SMTP, IMAP, POP3, LDAP and MySQL: to honest ones, and to each kind of liar. PostgreSQL has a
// file of its own.
import { randomBytes } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import { errorPacket, packet } from '../../../gateway/upstream/starttls/mysql/packets.ts'
import { response } from '../../../gateway/upstream/starttls/ldap/messages.ts'
import { greetingPacket, loginPacket, okPacket, prefixOf, switchPacket } from '../../fixtures/mysql.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import {
  CLIENT_FIRST,
  EXTENDED_RESPONSE,
  HONEST,
  NOTICE,
  type Said,
  type Script,
  type Scripted,
  SCRIPTED,
  startScriptedServer,
  UPWARD,
} from '../../fixtures/start-tls-server.ts'
import { clientCertificate, createPki, HOST, opened, type Pki, refused, request } from './harness.ts'

let pki: Pki
let mutual: { requestCert: true; rejectUnauthorized: true; ca: string }
beforeAll(async () => {
  pki = await createPki()
  mutual = { requestCert: true, rejectUnauthorized: true, ca: pki.clients.pem }
})

function towards(startTls: Scripted, more: Partial<Destination> = {}): Partial<Destination> {
  return {
    startTls,
    roots: [pki.servers.pem],
    clientCertificates: [clientCertificate(pki.client)],
    ...more,
  }
}

describe.for(SCRIPTED)('a server of %s', (name) => {
  test.for([false, true])(
    'that is honest gets TLS with the client certificate (byte by byte: %s)',
    async (dribbles) => {
      await using server = await startScriptedServer(
        pki.server,
        { says: HONEST[name] },
        { ...mutual, dribbles },
      )
      await using connection = await opened(request(server.port, towards(name)))
      expect(connection.facts).toMatchObject({ nameProof: 'certificate', serverName: HOST })
      connection.stream.write(CLIENT_FIRST[name])
      connection.stream.resume()
      await expect.poll(() => server.told()[0]?.length ?? 0).toBeGreaterThan(0)
      expect(server.clients).toEqual(['payments'])
      expect(server.heard()).toEqual([expect.stringMatching(UPWARD[name])])
    },
  )

  test('that has a certificate of somebody else hears nothing more', async () => {
    const impostor = await pki.strangers.issue({ dns: [HOST] })
    await using server = await startScriptedServer(impostor, { says: HONEST[name] })
    const error = await refused(request(server.port, towards(name)))
    expect(error.code).toBe('upstream-tls-certificate-untrusted')
    expect(server.heard()).toEqual([expect.stringMatching(UPWARD[name])])
    expect(server.told()).toEqual([])
  })

  test('that asks for a client certificate and refuses ours is told apart', async () => {
    const ca = { ...mutual, ca: pki.strangers.pem }
    await using server = await startScriptedServer(pki.server, { says: HONEST[name] }, ca)
    const error = await refused(request(server.port, towards(name)))
    expect(error.code).toBe('upstream-tls-client-certificate-refused')
  })

  const first = HONEST[name][0]
  const again = (text: Said): Said => (text === null ? null : Buffer.concat([bytesOf(text), bytesOf(text)]))
  test.for<[string, Script, string]>([
    ['says nothing', { says: [null, null, null, null], after: 'plain' }, 'timeout'],
    ['ends at once', { says: [null], after: 'end' }, 'closed'],
    ['resets at once', { says: [null], after: 'reset' }, 'upstream-starttls-closed|connect-reset'],
    [
      'ends behind its first words',
      { says: [first, null], after: 'end' },
      name === 'mysql' ? 'upstream-tls-closed' : 'closed',
    ],
    [
      'resets behind its first words',
      { says: [first, null], after: 'reset' },
      name === 'mysql' ? 'upstream-tls-closed' : 'closed',
    ],
    ['speaks HTTP', { says: ['HTTP/1.1 400 Bad Request\r\n\r\n', null], after: 'plain' }, 'malformed'],
    ['sends zeros', { says: [Buffer.alloc(200_000), null], after: 'plain' }, 'malformed'],
    ['sends a line without end', { says: ['x'.repeat(200_000), null], after: 'plain' }, 'malformed'],
    [
      'says everything twice',
      { says: HONEST[name].map(again), after: 'plain' },
      name === 'ldap' ? 'injected' : 'malformed',
    ],
  ])('that %s is told apart, and nothing but its own words went up', async ([, script, code]) => {
    await using server = await startScriptedServer(pki.server, script)
    const connect = { timeoutMs: 1500, attempts: 1, confirmMs: null }
    const error = await refused(request(server.port, towards(name, { connect })))
    expect(error.code).toMatch(code.includes('-') ? new RegExp(`^(?:${code})$`) : `upstream-starttls-${code}`)
    // No login, no mail; a ClientHello where TLS was agreed to.
    expect(server.heard().join('')).not.toMatch(/MAIL|LOGIN|USER/)
    expect(server.told()).toEqual([])
  })
})

function bytesOf(text: string | Buffer): Buffer {
  return typeof text === 'string' ? Buffer.from(text, 'latin1') : text
}

/** How a record of a handshake begins. */
const CLIENT_HELLO = '\u0016\u0003'

describe('a liar', () => {
  const ldapNo = response(EXTENDED_RESPONSE, 1, 2, 'TLS is off')
  const withMore = (name: Scripted): readonly Said[] => {
    const last = HONEST[name].at(-1)
    return [
      ...HONEST[name].slice(0, -1),
      Buffer.concat([bytesOf(last ?? ''), Buffer.from('250 injected\r\n')]),
    ]
  }
  test.for<[string, Scripted, readonly Said[], string]>([
    [
      'SMTP without STARTTLS',
      'smtp',
      [HONEST.smtp[0], '250-mx.test\r\n250 SIZE\r\n', '220 x\r\n'],
      'refused',
    ],
    ['SMTP that says 454', 'smtp', [...HONEST.smtp.slice(0, 2), '454 no\r\n'], 'refused'],
    ['SMTP with a word behind 220', 'smtp', withMore('smtp'), 'injected'],
    ['IMAP that is PREAUTH', 'imap', ['* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n'], 'refused'],
    ['IMAP that says NO', 'imap', [HONEST.imap[0], 'sally2 NO x\r\n'], 'refused'],
    ['IMAP with a word behind OK', 'imap', withMore('imap'), 'injected'],
    ['POP3 without STLS', 'pop3', [HONEST.pop3[0], '+OK\r\nUSER\r\n.\r\n'], 'refused'],
    ['POP3 that says -ERR', 'pop3', [...HONEST.pop3.slice(0, 2), '-ERR no\r\n'], 'refused'],
    ['POP3 with a word behind +OK', 'pop3', withMore('pop3'), 'injected'],
    ['LDAP that has no TLS', 'ldap', [null, ldapNo], 'refused'],
    ['LDAP that goes down', 'ldap', [null, NOTICE], 'refused'],
    ['LDAP with a word behind success', 'ldap', withMore('ldap'), 'injected'],
    ['MySQL without CLIENT_SSL', 'mysql', [greetingPacket({ capabilities: 0x81bf_f7fe })], 'refused'],
    ['MySQL that is full', 'mysql', [errorPacket(0, 1040, null, 'Too many connections')], 'refused'],
    [
      'MySQL with a packet behind its greeting',
      'mysql',
      [Buffer.concat([greetingPacket(), okPacket(1)])],
      'malformed',
    ],
  ])('%s is refused, and the connection is reset', async ([, name, says, code]) => {
    await using server = await startScriptedServer(pki.server, { says: [...says, null], after: 'plain' })
    const error = await refused(request(server.port, towards(name)))
    expect(error.code).toBe(`upstream-starttls-${code}`)
    expect(error.facts).toMatchObject({ nameProof: null, attempts: 1, address: `127.0.0.1:${server.port}` })
    // No login, no mail, no ClientHello.
    expect(server.heard()[0]).not.toMatch(/MAIL|LOGIN|USER/)
    expect(server.heard()[0]).not.toContain(CLIENT_HELLO)
  })
})

describe('behind TLS', () => {
  test.for<[Scripted, string]>([
    ['smtp', '220 mx.test ESMTP\r\n'],
    ['pop3', '+OK hi <1.2@mx.test>\r\n'],
  ])('%s begins with the greeting of before', async ([name, expected]) => {
    await using server = await startScriptedServer(pki.server, { says: HONEST[name] })
    await using connection = await opened(request(server.port, towards(name)))
    connection.stream.end('QUIT\r\n')
    const { how, data } = await readToEnding(connection.stream)
    expect({ how, text: data.toString() }).toEqual({ how: 'end', text: `${expected}QUIT\r\n` })
  })

  test('imap begins with the greeting and the capabilities of now', async () => {
    const onSecure = (socket: TLSSocket) => {
      socket.on('data', (chunk: Buffer) => {
        if (chunk.toString() === 'sally3 CAPABILITY\r\n')
          socket.end('* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nsally3 OK\r\n')
      })
    }
    await using server = await startScriptedServer(pki.server, { says: HONEST.imap }, { onSecure })
    await using connection = await opened(request(server.port, towards('imap')))
    connection.stream.end()
    const { data } = await readToEnding(connection.stream)
    expect(data.toString()).toBe('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n')
  })

  test.for(SCRIPTED)('megabytes of %s pass in both directions, and both ends', async (name) => {
    const big = randomBytes(3_000_000)
    const onSecure = (socket: TLSSocket): void => {
      // Logs the client in by MySQL's OK, and echoes from there on.
      if (name === 'mysql') {
        socket.once('data', (chunk: Buffer) => {
          socket.write(okPacket(3))
          socket.write(chunk.subarray(loginPacket().length))
          socket.pipe(socket)
        })
      } else if (name === 'imap') {
        socket.once('data', () => {
          socket.write('* CAPABILITY IMAP4rev1\r\nsally3 OK\r\n')
          socket.pipe(socket)
        })
      } else socket.pipe(socket)
    }
    await using server = await startScriptedServer(pki.server, { says: HONEST[name] }, { onSecure })
    await using connection = await opened(request(server.port, towards(name)))
    const login = CLIENT_FIRST[name]
    const { stream } = connection
    const ending = readToEnding(stream)
    let received = 0
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    stream.write(login)
    // A client waits for the end of its login.
    if (name === 'mysql') await expect.poll(() => received).toBeGreaterThan(greetingPacket().length)
    stream.end(big)
    const { how, data } = await ending
    expect(how).toBe('end')
    expect(data.subarray(data.length - big.length).equals(big)).toBe(true)
  })
})

describe('a client of MySQL that wants what the last one did not', () => {
  const login = loginPacket({ charset: 33 })
  const answer = (socket: TLSSocket): void => {
    socket.on('data', () => void socket.write(okPacket(3)))
  }

  test('is asked for its proof again, over a second connection with the same certificate', async () => {
    await using server = await startScriptedServer(
      pki.server,
      { says: HONEST.mysql },
      { ...mutual, onSecure: answer },
    )
    await using connection = await opened(request(server.port, towards('mysql', { name: 'again' })))
    const { stream } = connection
    let heard = ''
    stream.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
    })
    stream.resume()
    stream.write(login)
    const asked = switchPacket(2, 'mysql_native_password', 'abcdefghijklmnopqrst').toString('latin1')
    await expect.poll(() => heard.slice(greetingPacket().length)).toBe(asked)
    stream.write(packet(3, Buffer.alloc(20, 9)))
    await expect
      .poll(() => heard.slice(greetingPacket().length + asked.length))
      .toBe(okPacket(4).toString('latin1'))
    expect(server.clients).toEqual(['payments', 'payments'])
    expect(server.heard()[1]).toBe(packet(1, prefixOf(login)).toString('latin1'))
    expect(server.told()[0]).toEqual(Buffer.alloc(0))
    expect(connection.facts.attempts).toBe(2)
    stream.destroy()
  })

  test('is cut off where there is no second connection', async () => {
    await using server = await startScriptedServer(pki.server, { says: HONEST.mysql }, { onSecure: answer })
    await using connection = await opened(request(server.port, towards('mysql', { name: 'cut off' })))
    server.stopListening()
    const ending = readToEnding(connection.stream)
    connection.stream.write(login)
    const { how, error } = await ending
    expect(how).toBe('reset')
    expect(error === null ? null : connection.judgeLateError(error)).toBe('connect-refused')
    expect(server.connections()).toBe(1)
  })
})
