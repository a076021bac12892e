import { PassThrough } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Moves } from '../../../../../gateway/upstream/starttls/adapted-stream.ts'
import { type Greeting, readGreeting } from '../../../../../gateway/upstream/starttls/mysql/greeting.ts'
import { errorPacket, packet, readPacket } from '../../../../../gateway/upstream/starttls/mysql/packets.ts'
import { MysqlPreamble } from '../../../../../gateway/upstream/starttls/mysql/preamble.ts'
import { LoginPrefixes } from '../../../../../gateway/upstream/starttls/mysql/prefixes.ts'
import { readLoginResponse, withProof } from '../../../../../gateway/upstream/starttls/mysql/response.ts'
import { MysqlTranslator } from '../../../../../gateway/upstream/starttls/mysql/translator.ts'
import { mysqlAscent, mysqlRefusal } from '../../../../../gateway/upstream/starttls/mysql.ts'
import {
  CAPABILITIES,
  CLIENT_SSL,
  deniedPacket,
  greetingPacket,
  loginPacket,
  okPacket,
  prefixOf,
  switchPacket,
} from '../../../../fixtures/mysql.ts'
import { climb, cut, type Heard, pass, translate } from '../../../../fixtures/start-tls.ts'

const DECLARED = prefixOf(loginPacket())
const SSL_REQUEST = packet(1, DECLARED)
const text = (bytes: Buffer) => bytes.toString('latin1')
const QUERY = packet(0, Buffer.from('\u0003select 1'))

function greeting(bytes = greetingPacket()): Greeting {
  const read = readGreeting(bytes)
  if (read === null) throw new Error('no greeting')
  return read.greeting
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
  fc.constantFrom(greetingPacket(), loginPacket(), okPacket(2), SSL_REQUEST, switchPacket(2, 'x', 'y')),
)
const garbage = fc.array(fc.tuple(fc.constantFrom('client' as const, 'server' as const), bytes), {
  maxLength: 12,
})

describe('the way up of MySQL', () => {
  test('answers the greeting by an SSLRequest, however the bytes are cut', () => {
    fc.assert(
      fc.property(cut([['server', greetingPacket()] as const]), (pieces) => {
        const climbed = climb(
          mysqlAscent(DECLARED),
          pieces.map(([, piece]) => piece),
        )
        expect(climbed).toMatchObject({ said: text(SSL_REQUEST), end: 'tls' })
        expect((climbed.kept as Greeting).scramble.toString()).toBe('abcdefghijklmnopqrst')
      }),
    )
    expect(SSL_REQUEST.length).toBe(36)
  })

  test.for<[string, Buffer[], string, RegExp]>([
    ['offers no TLS', [greetingPacket({ capabilities: 0x81bf_f7fe })], 'refused', /does not offer TLS/],
    ['is full', [errorPacket(0, 1040, null, 'Too many connections')], 'refused', /"Too many connections"/],
    ['speaks protocol 9', [packet(0, Buffer.from('\u0009x'))], 'malformed', /no MySQL greeting/],
    [
      'counts from 1',
      [Buffer.concat([greetingPacket().subarray(0, 3), Buffer.from([1]), greetingPacket().subarray(4)])],
      'malformed',
      /no MySQL greeting/,
    ],
    [
      'cuts its greeting short',
      [packet(0, Buffer.from('\u000a8.0\0abc', 'latin1'))],
      'malformed',
      /cut short/,
    ],
    ['speaks HTTP', [Buffer.from('HTTP/1.1 400 Bad Request\r\n')], 'malformed', /more than 4096/],
    ['says more', [Buffer.concat([greetingPacket(), okPacket(1)])], 'malformed', /before it was asked/],
  ])('is over where the server %s', ([, server, code, detail]) => {
    expect(climb(mysqlAscent(DECLARED), server).end).toEqual({
      code: `upstream-starttls-${code}`,
      detail: expect.stringMatching(detail),
    })
  })

  test('never fails but by its own errors', () => {
    fc.assert(
      fc.property(fc.array(bytes), (pieces) => {
        climb(mysqlAscent(DECLARED), pieces)
      }),
    )
  })
})

describe('what a login says', () => {
  test.for<[string, Buffer]>([
    ['a database', loginPacket({ database: 'orders' })],
    ['no plugin', loginPacket({ plugin: null })],
    ['no password', loginPacket({ proof: Buffer.alloc(0) })],
    [
      'a proof of 255 bytes in the old form',
      loginPacket({ capabilities: 0x0009_a205, proof: Buffer.alloc(255, 2) }),
    ],
  ])('comes back as it was with %s', ([, login]) => {
    const read = readLoginResponse(login.subarray(4))
    if (read === null) throw new Error('not read')
    const back = withProof(read, read.plugin ?? '', read.proof)
    const expected = Buffer.concat([
      prefixOf(login),
      login.subarray(36),
      Buffer.from(read.plugin === null ? '\0' : ''),
    ])
    expect(back).toEqual(expected)
  })

  test('is never read past its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (array) => {
        const payload = Buffer.from(array)
        if (payload.length > 4) payload.writeUInt32LE((payload.readUInt32LE(0) | 0x8200) >>> 0, 0)
        const read = readLoginResponse(payload)
        if (read === null) return
        const { user, proof, database, rest } = read
        expect(32 + user.length + proof.length + database.length + rest.length).toBeLessThanOrEqual(
          payload.length,
        )
      }),
    )
  })
})

test('the next SSLRequest says what the last client of the destination said', () => {
  const prefixes = new LoginPrefixes()
  const usual = prefixes.guess('orders')
  expect(usual.readUInt32LE(0) & CLIENT_SSL).toBe(CLIENT_SSL)
  prefixes.learn('orders', DECLARED)
  expect(prefixes.guess('orders')).toEqual(DECLARED)
  expect(prefixes.guess('other')).toEqual(usual)
  for (let count = 0; count < 1000; count++) prefixes.learn(`destination ${count}`, DECLARED)
  expect(prefixes.guess('orders')).toEqual(usual)
})

function translator(options: { again?: Greeting; learned?: Buffer[]; asked?: Buffer[] } = {}) {
  return new MysqlTranslator({
    greeting: greeting(),
    declared: DECLARED,
    learn: (prefix) => options.learned?.push(prefix),
    again: async (prefix) => {
      options.asked?.push(prefix)
      return {
        greeting: options.again ?? greeting(),
        reopened: { stream: new PassThrough(), reset: () => {} },
      }
    },
  })
}

describe('a client that speaks plaintext MySQL', () => {
  test('is greeted as by a server without TLS', () => {
    const { toClient } = translate(translator(), [])
    const plain = readPacket(Buffer.from(toClient, 'latin1'), 1000)
    expect(plain?.bytes).toEqual(greetingPacket({ capabilities: 0x81bf_f7fe }))
  })

  const LOGIN: Heard[] = [
    ['client', loginPacket()],
    ['server', switchPacket(3, 'client_ed25519', 'n'.repeat(32))],
    ['client', packet(3, Buffer.alloc(64, 7))],
    ['server', okPacket(5)],
    ['client', QUERY],
    ['server', okPacket(1)],
  ]

  test('logs in with sequence numbers shifted, and is on its own then', () => {
    const { toServer, toClient, done } = translate(translator(), LOGIN)
    const encrypted = Buffer.concat([DECLARED, loginPacket().subarray(36)])
    expect(toServer).toBe(text(Buffer.concat([packet(2, encrypted), packet(4, Buffer.alloc(64, 7)), QUERY])))
    const told = [switchPacket(2, 'client_ed25519', 'n'.repeat(32)), okPacket(4), okPacket(1)]
    expect(toClient).toBe(text(Buffer.concat([greetingPacket({ capabilities: 0x81bf_f7fe }), ...told])))
    expect(done).toBe(true)
  })

  test('gets the same however the bytes are cut', () => {
    const whole = translate(translator(), LOGIN)
    fc.assert(
      fc.property(cut(LOGIN), (pieces) => {
        expect(translate(translator(), pieces)).toEqual(whole)
      }),
    )
  })

  test('is told what the server says of its password', () => {
    const { toClient, done } = translate(translator(), [LOGIN[0] as Heard, ['server', deniedPacket(3)]])
    expect(toClient.endsWith(text(deniedPacket(2)))).toBe(true)
    expect(done).toBe(true)
  })

  test('passes caching_sha2_password where the server knows its hash', () => {
    const login = loginPacket({ plugin: 'caching_sha2_password', proof: Buffer.alloc(32, 1) })
    const fast = packet(3, Buffer.from([1, 3]))
    const { toClient, over } = translate(translator(), [
      ['client', login],
      ['server', Buffer.concat([fast, okPacket(4)])],
    ])
    expect(toClient.endsWith(text(Buffer.concat([packet(2, Buffer.from([1, 3])), okPacket(3)])))).toBe(true)
    expect(over).toBe(false)
  })

  test.for<[string, Heard[], number, RegExp]>([
    [
      'caching_sha2_password wants the password',
      [
        ['client', loginPacket({ plugin: 'caching_sha2_password' })],
        ['server', packet(3, Buffer.from([1, 4]))],
      ],
      2,
      /^#HY000caching_sha2_password wants the password itself inside TLS/,
    ],
    [
      'the server switches to sha256_password',
      [
        ['client', loginPacket()],
        ['server', switchPacket(3, 'sha256_password', 'abc')],
      ],
      2,
      /^#HY000sha256_password wants/,
    ],
    [
      'it begins with sha256_password',
      [['client', loginPacket({ plugin: 'sha256_password' })]],
      2,
      /sha256_password wants/,
    ],
    ['it sends no login', [['client', packet(1, Buffer.from('x'))]], 2, /Bad handshake/],
    ['it counts wrongly', [['client', loginPacket({ sequence: 2 })]], 3, /Bad handshake/],
    ['it sends 16 MiB', [['client', Buffer.from('ffffff01', 'hex')]], 1, /Bad handshake/],
    [
      'it wants other capabilities and knows no plugins',
      [['client', loginPacket({ plugin: null })]],
      2,
      /Bad handshake; please try again/,
    ],
  ])('is told by an error, in turn, that it cannot be where %s', ([, heard, sequence, message]) => {
    const { toClient, over } = translate(translator(), heard)
    const rest = Buffer.from(toClient, 'latin1').subarray(greetingPacket().length)
    const told = readPacket(rest, 1000)
    expect(told).toMatchObject({ sequence })
    expect(told?.bytes).toEqual(rest)
    expect(told?.payload[0]).toBe(0xff)
    expect(told?.payload.toString('latin1', 3)).toMatch(message)
    expect(over).toBe(true)
  })

  test('hears what came before the refusal, in one piece or not', () => {
    const login = loginPacket({ plugin: 'caching_sha2_password' })
    const asked = switchPacket(3, 'caching_sha2_password', 'n'.repeat(20))
    const { toClient } = translate(translator(), [
      ['client', login],
      ['server', Buffer.concat([asked, packet(4, Buffer.from([1, 4]))])],
    ])
    const told = Buffer.from(toClient, 'latin1').subarray(greetingPacket().length)
    expect(readPacket(told, 1000)?.bytes).toEqual(switchPacket(2, 'caching_sha2_password', 'n'.repeat(20)))
    expect(readPacket(told.subarray(asked.length), 1000)).toMatchObject({ sequence: 3 })
  })

  test('that wants other capabilities proves its password again, over another connection', async () => {
    const learned: Buffer[] = []
    const asked: Buffer[] = []
    const again = greeting(greetingPacket({ scramble: 'ABCDEFGHIJKLMNOPQRST' }))
    const subject = translator({ again, learned, asked })
    subject.start()
    const login = loginPacket({ capabilities: CAPABILITIES | 0x2, charset: 33, database: 'orders' })
    const moves = subject.fromClient(login)
    expect({ toServer: moves.toServer, toClient: moves.toClient }).toEqual({
      toServer: Buffer.alloc(0),
      toClient: undefined,
    })
    const exchanged = await (moves.exchange as Exclude<Moves['exchange'], undefined>)()
    expect(learned).toEqual([prefixOf(login)])
    expect(asked).toEqual(learned)
    expect(exchanged.toClient).toEqual(switchPacket(2, 'mysql_native_password', 'ABCDEFGHIJKLMNOPQRST'))
    const proven = subject.fromClient(packet(3, Buffer.alloc(20, 9)))
    const expected = loginPacket({
      capabilities: CAPABILITIES | 0x802,
      charset: 33,
      database: 'orders',
      proof: Buffer.alloc(20, 9),
      sequence: 2,
    })
    expect(proven.toServer).toEqual(expected)
    const decided = subject.fromServer(okPacket(3))
    expect(decided).toEqual({ toServer: Buffer.alloc(0), toClient: okPacket(4), transparent: 'both' })
  })

  test('never fails, and holds nothing back for ever', () => {
    fc.assert(
      fc.property(garbage, (heard) => {
        const flood: Heard[] = [
          ['client', Buffer.from('ffffff01', 'hex')],
          ['server', Buffer.from('ffffff01', 'hex')],
        ]
        const { over, done } = translate(translator(), [...heard, ...flood])
        expect(over || done || heard.some(([side]) => side === 'client')).toBe(true)
      }),
    )
  })
})

describe('a client that begins TLS itself', () => {
  const HELLO = '\u0016\u0003\u0001\u0002\u0000'

  test('gets to TLS by greeting and SSLRequest, with the ClientHello right behind it', () => {
    const up: Heard[] = [
      ['server', greetingPacket()],
      ['client', Buffer.concat([SSL_REQUEST, Buffer.from(HELLO, 'latin1')])],
    ]
    expect(pass(new MysqlPreamble(), up)).toEqual({
      toServer: text(SSL_REQUEST),
      toClient: text(greetingPacket()),
      next: 'tls',
      hello: HELLO,
    })
    fc.assert(
      fc.property(cut(up), (pieces) => {
        const { hello, ...passed } = pass(new MysqlPreamble(), pieces)
        expect(passed).toMatchObject({ toServer: text(SSL_REQUEST), next: 'tls' })
        expect(HELLO.startsWith(hello)).toBe(true)
      }),
    )
  })

  test.for<[string, Heard[], string]>([
    [
      'logs in in plaintext',
      [
        ['server', greetingPacket()],
        ['client', loginPacket()],
      ],
      'SSLRequest',
    ],
    [
      'sends a request without CLIENT_SSL',
      [
        ['server', greetingPacket()],
        ['client', packet(1, loginPacket().subarray(4, 36))],
      ],
      'SSLRequest',
    ],
    [
      'counts wrongly',
      [
        ['server', greetingPacket()],
        ['client', packet(2, DECLARED)],
      ],
      'SSLRequest',
    ],
    ['speaks first', [['client', SSL_REQUEST]], 'before the greeting'],
  ])('is refused where it %s', ([, heard, detail]) => {
    expect(pass(new MysqlPreamble(), heard)).toMatchObject({
      toServer: '',
      next: { code: 'request-start-tls', detail: expect.stringContaining(detail) },
    })
  })

  test.for<[string, Buffer, string]>([
    ['offers no TLS', greetingPacket({ capabilities: 0x81bf_f7fe }), 'upstream-starttls-refused'],
    ['says more', Buffer.concat([greetingPacket(), okPacket(1)]), 'upstream-starttls-malformed'],
    ['is no MySQL', Buffer.from('220 mx.partner.test\r\n'), 'upstream-starttls-malformed'],
  ])('is cut off from a server that %s', ([, server, code]) => {
    expect(pass(new MysqlPreamble(), [['server', server]]).next).toMatchObject({ code })
  })

  test('never makes the gateway pass on anything else', () => {
    fc.assert(
      fc.property(garbage, (heard) => {
        const { toServer } = pass(new MysqlPreamble(), heard)
        expect([0, 36]).toContain(toServer.length)
      }),
    )
  })
})

test.for<['denied' | 'unavailable', number]>([
  ['denied', 1045],
  ['unavailable', 1040],
])('a refusal that is %s is an error instead of the greeting', ([kind, code]) => {
  const { reply, over } = mysqlRefusal({ kind, text: 'not allowed\r\n' }).answer(Buffer.alloc(0))
  expect({ reply, over }).toEqual({ reply: errorPacket(0, code, null, 'not allowed'), over: true })
})
