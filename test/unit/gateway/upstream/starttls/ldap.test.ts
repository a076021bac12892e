import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LdapAdapter } from '../../../../../gateway/upstream/starttls/ldap/adapter.ts'
import {
  element,
  integer,
  readElements,
  readInteger,
} from '../../../../../gateway/upstream/starttls/ldap/ber.ts'
import {
  noticeOfDisconnection,
  readMessage,
  readResult,
  response,
  startTlsRequest,
} from '../../../../../gateway/upstream/starttls/ldap/messages.ts'
import { LdapPreamble } from '../../../../../gateway/upstream/starttls/ldap/preamble.ts'
import { ldapAscent, ldapRefusal } from '../../../../../gateway/upstream/starttls/ldap.ts'
import { climb, cut, type Heard, pass, translate } from '../../../../fixtures/start-tls.ts'

const EXTENDED_RESPONSE = 0x78
/** As ldapsearch -ZZ sends it. */
const REQUEST = Buffer.from(
  `301d02010177188016${Buffer.from('1.3.6.1.4.1.1466.20037').toString('hex')}`,
  'hex',
)
/** As slapd answers it: lengths in their long form, and responseName. */
const AGREED = response(EXTENDED_RESPONSE, 1, 0, '')
/** The same with an empty list of controls. */
const WITH_CONTROL = element(0x30, REQUEST.subarray(2), element(0xa0))
/** Anonymous, simple. */
const BIND = Buffer.from('300c020101600702010304008000', 'hex')
/** rootDSE, base, (objectClass=*). */
const SEARCH = Buffer.from(
  '3025020102632004000a01000a0100020100020100010100870b6f626a656374436c6173733000',
  'hex',
)
const text = (bytes: Buffer) => bytes.toString('latin1')

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
  fc.constantFrom(REQUEST, AGREED, BIND, SEARCH, noticeOfDisconnection(52, 'x')),
)
const garbage = fc.array(fc.tuple(fc.constantFrom('client' as const, 'server' as const), bytes), {
  maxLength: 12,
})

test('BER integers and elements come back as they went', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0x7fff_ffff }),
      fc.uint8Array({ maxLength: 600 }),
      (value, content) => {
        const [number, string] = readElements(
          Buffer.concat([integer(2, value), element(4, Buffer.from(content))]),
        )
        expect(readInteger(number?.content ?? Buffer.alloc(0))).toBe(value)
        expect(string).toEqual({ tag: 4, content: Buffer.from(content) })
      },
    ),
  )
})

describe('the way up of LDAP', () => {
  test('asks as ldapsearch does, and takes success for an answer', () => {
    expect(climb(ldapAscent(), [AGREED])).toEqual({ said: text(REQUEST), end: 'tls', kept: null })
  })

  test('takes an answer with long lengths and a name, however the bytes are cut', () => {
    const long = Buffer.from(
      '308400000028020101788400000' +
        '01f0a010004000400' +
        '8a16' +
        Buffer.from('1.3.6.1.4.1.1466.20037').toString('hex'),
      'hex',
    )
    fc.assert(
      fc.property(cut([['server', long] as const]), (pieces) => {
        expect(
          climb(
            ldapAscent(),
            pieces.map(([, piece]) => piece),
          ).end,
        ).toBe('tls')
      }),
    )
  })

  test.for<[string, Buffer[], string, RegExp]>([
    [
      'has no TLS',
      [response(EXTENDED_RESPONSE, 1, 2, 'unsupported')],
      'refused',
      /resultCode 2, "unsupported"/,
    ],
    ['answers with escapes', [response(EXTENDED_RESPONSE, 1, 52, 'a\r\nb')], 'refused', /"a\\x0d\\x0ab"/],
    [
      'disconnects',
      [noticeOfDisconnection(52, 'going down')],
      'refused',
      /disconnects: resultCode 52, "going down"/,
    ],
    ['answers another message', [response(EXTENDED_RESPONSE, 7, 0, '')], 'malformed', /messageID 7/],
    ['answers by a BindResponse', [response(0x61, 1, 0, '')], 'malformed', /operation 97/],
    ['says more behind its agreement', [Buffer.concat([AGREED, AGREED])], 'injected', /plaintext/],
    ['says a byte more', [Buffer.concat([AGREED, Buffer.from([0])])], 'injected', /plaintext/],
    ['speaks HTTP', [Buffer.from('HTTP/1.1 400')], 'malformed', /no LDAP message/],
    ['announces 2 GiB', [Buffer.from('30847fffffff', 'hex')], 'malformed', /more than 16384 bytes/],
    ['announces no length', [Buffer.from('3080', 'hex')], 'malformed', /indefinite length/],
    [
      'answers without result',
      [element(0x30, integer(2, 1), element(0x78))],
      'malformed',
      /without LDAPResult/,
    ],
  ])('is over where the server %s', ([, server, code, detail]) => {
    expect(climb(ldapAscent(), server).end).toEqual({
      code: `upstream-starttls-${code}`,
      detail: expect.stringMatching(detail),
    })
  })

  test('never fails but by its own errors', () => {
    fc.assert(
      fc.property(fc.array(bytes), (pieces) => {
        climb(ldapAscent(), pieces)
      }),
    )
  })
})

describe('a client that speaks plaintext LDAP', () => {
  test('is told operationsError where it asks for StartTLS, and goes on', () => {
    const { toClient, toServer, done } = translate(new LdapAdapter(), [
      ['client', REQUEST],
      ['client', BIND],
    ])
    const answer = readMessage(Buffer.from(toClient, 'latin1'), 1000)
    expect(answer?.id).toBe(1)
    expect(answer?.operation.tag).toBe(EXTENDED_RESPONSE)
    expect(answer === null ? null : readResult(answer.operation)).toMatchObject({ code: 1 })
    expect(toServer).toBe(text(BIND))
    expect(done).toBe(true)
  })

  test('is answered between two messages of the server, never inside one', () => {
    const entry = element(0x30, integer(2, 2), element(0x64, Buffer.alloc(300)))
    const { toClient, done } = translate(new LdapAdapter(), [
      ['client', SEARCH],
      ['server', entry.subarray(0, 100)],
      ['client', REQUEST],
      ['server', entry.subarray(100)],
    ])
    expect(toClient.startsWith(text(entry))).toBe(true)
    expect(readMessage(Buffer.from(toClient.slice(entry.length), 'latin1'), 1000)?.operation.tag).toBe(
      EXTENDED_RESPONSE,
    )
    expect(done).toBe(false)
  })

  test('gets the same however the bytes are cut', () => {
    const heard: Heard[] = [
      ['client', Buffer.concat([SEARCH, REQUEST])],
      ['server', noticeOfDisconnection(52, 'x'.repeat(200))],
      ['client', Buffer.concat([BIND, Buffer.from('wrapped by SASL')])],
      ['server', Buffer.from('0wrapped too')],
    ]
    const whole = translate(new LdapAdapter(), heard)
    fc.assert(
      fc.property(cut(heard), (pieces) => {
        const { toServer, done } = translate(new LdapAdapter(), pieces)
        expect({ toServer, done }).toEqual({ toServer: whole.toServer, done: whole.done })
      }),
    )
  })

  test('loses nothing, whatever either side says', () => {
    fc.assert(
      fc.property(garbage, (heard) => {
        const flood: Heard[] = [
          ['client', Buffer.from('BIND')],
          ['server', Buffer.from('NO LDAP')],
        ]
        const { toServer, toClient } = translate(new LdapAdapter(), [...heard, ...flood])
        const said = (side: string) =>
          heard.filter(([who]) => who === side).map(([, piece]) => text(piece as Buffer))
        const withoutRequests = said('client').join('').replaceAll(text(REQUEST), '')
        // A client's last message may be cut short and wait for its rest.
        expect(`${withoutRequests}BIND`.startsWith(toServer.replaceAll(text(REQUEST), ''))).toBe(true)
        expect(toClient.length).toBeGreaterThanOrEqual(said('server').join('').length - 5)
      }),
    )
  })
})

describe('a client that does StartTLS itself', () => {
  const UP: Heard[] = [
    ['client', REQUEST],
    ['server', AGREED],
  ]

  test('gets to TLS, however the bytes are cut', () => {
    fc.assert(
      fc.property(cut(UP), (pieces) => {
        expect(pass(new LdapPreamble(), pieces)).toEqual({
          toServer: text(REQUEST),
          toClient: text(AGREED),
          next: 'tls',
          hello: '',
        })
      }),
    )
  })

  test('may ask again where the server will not', () => {
    const no = response(EXTENDED_RESPONSE, 1, 52, 'later')
    const { toServer, next } = pass(new LdapPreamble(), [['client', REQUEST], ['server', no], ...UP])
    expect({ toServer, next }).toEqual({ toServer: text(REQUEST).repeat(2), next: 'tls' })
  })

  test.for<[string, Heard[], string]>([
    ['binds in plaintext', [['client', BIND]], 'other than StartTLS'],
    ['searches in plaintext', [['client', SEARCH]], 'other than StartTLS'],
    ['sends more with its request', [['client', Buffer.concat([REQUEST, BIND])]], 'bytes came behind'],
    [
      'sends more before the answer',
      [
        ['client', REQUEST],
        ['client', Buffer.from([0x16])],
      ],
      'bytes came behind',
    ],
    ['announces a long message', [['client', Buffer.from('30820400', 'hex')]], 'other than StartTLS'],
    ['adds a control', [['client', WITH_CONTROL]], 'other than StartTLS'],
  ])('is refused where it %s', ([, heard, detail]) => {
    expect(pass(new LdapPreamble(), heard).next).toEqual({
      code: 'request-start-tls',
      detail: expect.stringContaining(detail),
    })
  })

  test('is cut off from a server that says more behind its agreement', () => {
    const { next } = pass(new LdapPreamble(), [
      ['client', REQUEST],
      ['server', Buffer.concat([AGREED, AGREED])],
    ])
    expect(next).toMatchObject({ code: 'upstream-starttls-injected' })
  })

  test('is cut off from a server that speaks unasked', () => {
    expect(pass(new LdapPreamble(), [['server', AGREED]]).next).toMatchObject({
      code: 'upstream-starttls-malformed',
    })
  })

  test('never makes the gateway pass on anything else', () => {
    fc.assert(
      fc.property(garbage, (heard) => {
        const { toServer } = pass(new LdapPreamble(), heard)
        expect(toServer.replaceAll(text(REQUEST), '')).toBe('')
      }),
    )
  })
})

describe('a refusal', () => {
  test('waits for the first message', () => {
    const refusing = ldapRefusal({ kind: 'denied', text: 'no' })
    expect(refusing.answer(Buffer.alloc(0))).toEqual({ reply: Buffer.alloc(0), over: false })
    expect(refusing.answer(BIND.subarray(0, 5)).over).toBe(false)
    expect(refusing.answer(BIND.subarray(5)).over).toBe(true)
  })

  test('answers a bind, and gives notice', () => {
    const { reply } = ldapRefusal({ kind: 'denied', text: 'not\r\nallowed' }).answer(BIND)
    const first = readMessage(reply, 1000)
    expect(first).toMatchObject({ id: 1, operation: { tag: 0x61 } })
    expect(first === null ? null : readResult(first.operation)).toEqual({
      code: 50,
      diagnostic: 'not allowed',
    })
    const notice = readMessage(reply.subarray(first?.bytes.length), 1000)
    expect(notice?.bytes).toEqual(noticeOfDisconnection(50, 'not allowed'))
    expect(notice?.id).toBe(0)
  })

  test('gives notice alone to what is no LDAP', () => {
    const { reply, over } = ldapRefusal({ kind: 'unavailable', text: 'down' }).answer(
      Buffer.from('GET / HTTP/1.1'),
    )
    expect({ reply, over }).toEqual({ reply: noticeOfDisconnection(52, 'down'), over: true })
  })

  test('is as long as a text of 200 characters makes it', () => {
    const { reply } = ldapRefusal({ kind: 'denied', text: 'x'.repeat(400) }).answer(BIND)
    const first = readMessage(reply, 1000)
    expect(first === null ? null : readResult(first.operation).diagnostic).toBe('x'.repeat(200))
  })
})

test('the request is what clients of libldap send', () => {
  expect(startTlsRequest(1)).toEqual(REQUEST)
})
