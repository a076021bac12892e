// PostgreSQL's state machines by themselves: each says the same however its bytes are cut, and keeps no more than it must.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CancelKeys } from '../../../../../gateway/upstream/starttls/postgres/cancel-keys.ts'
import { PostgresPreamble } from '../../../../../gateway/upstream/starttls/postgres/preamble.ts'
import { PostgresRefusal } from '../../../../../gateway/upstream/starttls/postgres/refusal.ts'
import { PostgresTranslator } from '../../../../../gateway/upstream/starttls/postgres/translator.ts'
import { readErrorResponse, readFirstPacket } from '../../../../../gateway/upstream/starttls/postgres/wire.ts'
import type { PreambleStep } from '../../../../../gateway/upstream/starttls/types.ts'
import * as wire from '../../../../fixtures/postgres-wire.ts'

const KEY = wire.key(77, Buffer.from('01020304', 'hex'))

/** All ways to cut bytes into pieces. */
const cuts = (whole: Buffer) =>
  fc.array(fc.nat(whole.length), { maxLength: 12 }).map((at) => {
    const points = [0, ...at.sort((a, b) => a - b), whole.length]
    return points.slice(1).map((end, index) => whole.subarray(points[index], end))
  })

describe('a first packet', () => {
  test.each<[string, Buffer, string]>([
    ['SSLRequest', wire.SSL_REQUEST, 'ssl'],
    ['GSSENCRequest', wire.GSSENC_REQUEST, 'gssenc'],
    ['CancelRequest with a short secret', wire.cancelRequest(KEY), 'cancel'],
    ['CancelRequest with the longest secret', wire.cancelRequest(wire.key(1, Buffer.alloc(256))), 'cancel'],
    ['CancelRequest with one byte more', wire.cancelRequest(wire.key(1, Buffer.alloc(257))), 'malformed'],
    ['CancelRequest without a secret', wire.cancelRequest(wire.key(1, Buffer.alloc(0))), 'malformed'],
    ['StartupMessage', wire.STARTUP, 'startup'],
    ['StartupMessage of protocol 3.2', wire.STARTUP_3_2, 'startup'],
    ['StartupMessage without its last byte', wire.STARTUP.subarray(0, -1), 'incomplete'],
    ['TLS', Buffer.from('16', 'hex'), 'tls'],
    ['protocol 2', Buffer.from('0000000800020000', 'hex'), 'malformed'],
    ['a length of 10,001', Buffer.from('0000271100030000', 'hex'), 'malformed'],
    ['a length of seven', Buffer.from('0000000700030000', 'hex'), 'malformed'],
    ['SSLRequest with a body', Buffer.from('0000000904d2162f00', 'hex'), 'malformed'],
    ['HTTP', Buffer.from('GET / HTTP/1.1'), 'malformed'],
    ['nothing', Buffer.alloc(0), 'incomplete'],
  ])('%s', (_, bytes, kind) => {
    expect(readFirstPacket(bytes).kind).toBe(kind)
  })
})

test('an ErrorResponse is read by its fields, and none of it trusted', () => {
  expect(readErrorResponse(wire.error('53300', 'too many').subarray(5))).toBe('53300 too many')
  expect(readErrorResponse(Buffer.from('Xnothing\0'))).toBeNull()
  expect(readErrorResponse(Buffer.alloc(0))).toBeNull()
})

/** Feeds the pieces as a stream would, and stops where the translator is out of the way. */
function translate(side: 'fromClient' | 'fromServer', pieces: readonly Buffer[]) {
  const keys: Buffer[] = []
  const cancels: Buffer[] = []
  const translator = new PostgresTranslator({
    onKey: (key) => keys.push(key),
    onCancel: (packet) => {
      cancels.push(packet)
      return { toServer: packet }
    },
  })
  const toServer: Buffer[] = []
  const toClient: Buffer[] = []
  let transparent = false
  let failure: string | null = null
  for (const piece of pieces) {
    if (transparent) (side === 'fromClient' ? toServer : toClient).push(piece)
    else if (failure === null) {
      const moves = translator[side](piece)
      toServer.push(moves.toServer ?? Buffer.alloc(0))
      toClient.push(moves.toClient ?? Buffer.alloc(0))
      transparent = moves.transparent !== undefined
      failure = moves.failure?.code ?? null
    }
  }
  return {
    ...{ keys, cancels, transparent, failure },
    toServer: Buffer.concat(toServer),
    toClient: Buffer.concat(toClient),
  }
}

describe('the translator', () => {
  const sasl = (...names: readonly string[]) =>
    wire.authentication(10, names.map((name) => `${name}\0`).join('') + '\0')
  const notice = wire.message('N', 'SNOTICE\0\0')
  const negotiate = wire.message('v', Buffer.from('000300000000000000', 'hex'))

  test.each<[string, 'fromClient' | 'fromServer', Buffer]>([
    ['a client that asks for nothing', 'fromClient', Buffer.concat([wire.STARTUP, Buffer.from('p rest')])],
    [
      'a client that asks for both',
      'fromClient',
      Buffer.concat([wire.GSSENC_REQUEST, wire.SSL_REQUEST, wire.STARTUP]),
    ],
    ['a client that cancels', 'fromClient', wire.cancelRequest(KEY)],
    ['a client that speaks HTTP', 'fromClient', Buffer.from('GET / HTTP/1.1\r\nhost: example.org\r\n\r\n')],
    [
      'a whole session of a server',
      'fromServer',
      Buffer.concat([
        negotiate,
        sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'),
        wire.greeting(KEY),
        notice,
        Buffer.from('D...'),
      ]),
    ],
    [
      'a server that refuses',
      'fromServer',
      Buffer.concat([notice, wire.error('28P01', 'no'), Buffer.from('x')]),
    ],
    ['a server that speaks HTTP', 'fromServer', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('says the same of %s however its bytes are cut', (_, side, whole) => {
    const expected = translate(side, [whole])
    fc.assert(
      fc.property(cuts(whole), (pieces) => {
        const got = translate(side, pieces)
        expect({ ...got, toClient: null }).toEqual({ ...expected, toClient: null })
        // What was already passed on when something is found to be wrong is of no matter.
        if (expected.failure === null) expect(got.toClient).toEqual(expected.toClient)
      }),
    )
  })

  test('passes a server’s messages as they are, but for the offer of channel binding', () => {
    const rest = [negotiate, notice, wire.authentication(11, 'r=x'), wire.greeting(KEY)]
    const got = translate('fromServer', [
      Buffer.concat([sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'), ...rest]),
    ])
    expect(got.toClient).toEqual(Buffer.concat([sasl('SCRAM-SHA-256'), ...rest]))
    expect(got.keys).toEqual([KEY])
  })

  test('leaves an offer without channel binding alone', () => {
    const offers = Buffer.concat([sasl('SCRAM-SHA-256'), wire.authentication(5, 'salt'), wire.READY])
    expect(translate('fromServer', [offers]).toClient).toEqual(offers)
  })

  test('gives up where channel binding is all there is', () => {
    expect(translate('fromServer', [sasl('SCRAM-SHA-256-PLUS')]).failure).toBe('upstream-starttls-refused')
  })

  test.each<[string, Buffer]>([
    ['longer than 64 KiB', Buffer.from('5300010001', 'hex')],
    ['shorter than its length', Buffer.from('5300000003', 'hex')],
  ])('takes no message before the session that is %s', (_, bytes) => {
    expect(translate('fromServer', [bytes]).failure).toBe('upstream-starttls-malformed')
  })

  test('notes no key that is too short or too long', () => {
    for (const size of [0, 257]) {
      const bytes = Buffer.concat([wire.message('K', wire.key(1, Buffer.alloc(size))), wire.READY])
      expect(translate('fromServer', [bytes])).toMatchObject({ keys: [], toClient: bytes })
    }
  })
})

type Turn = readonly ['client' | 'server', readonly Buffer[]]

/** Feeds each side's pieces in turn, until a verdict. */
function preamble(...turns: readonly Turn[]) {
  const machine = new PostgresPreamble()
  const toServer: Buffer[] = []
  const toClient: Buffer[] = []
  let next: PreambleStep['next'] = 'plain'
  for (const [who, pieces] of turns) {
    for (const piece of pieces) {
      if (next !== 'plain') break
      const step = who === 'client' ? machine.fromClient(piece) : machine.fromServer(piece)
      toServer.push(step.toServer)
      toClient.push(step.toClient)
      next = step.next
    }
  }
  const verdict = typeof next === 'string' ? next : next.code
  return { verdict, toServer: Buffer.concat(toServer), toClient: Buffer.concat(toClient) }
}

describe('the preamble of passthrough', () => {
  const [S, N] = [Buffer.from('S'), Buffer.from('N')]
  type Turns = readonly Turn[]
  test.each<[string, Turns, string, Buffer, Buffer]>([
    [
      'SSLRequest and S',
      [
        ['client', [wire.SSL_REQUEST]],
        ['server', [S]],
      ],
      'tls',
      wire.SSL_REQUEST,
      S,
    ],
    ['TLS at once', [['client', [Buffer.from('160301', 'hex')]]], 'tls', Buffer.alloc(0), Buffer.alloc(0)],
    [
      'GSSENCRequest, N, SSLRequest, S',
      [
        ['client', [wire.GSSENC_REQUEST]],
        ['server', [N]],
        ['client', [wire.SSL_REQUEST]],
        ['server', [S]],
      ],
      'tls',
      Buffer.concat([wire.GSSENC_REQUEST, wire.SSL_REQUEST]),
      Buffer.from('NS'),
    ],
  ])('%s leads to TLS', (_, turns, verdict, toServer, toClient) => {
    expect(preamble(...turns)).toEqual({ verdict, toServer, toClient })
  })

  const asked = ['client', [wire.SSL_REQUEST]] as const
  const askedGss = ['client', [wire.GSSENC_REQUEST]] as const
  test.each<[string, Turns, string]>([
    ['a StartupMessage', [['client', [wire.STARTUP]]], 'request-start-tls'],
    ['a CancelRequest', [['client', [wire.cancelRequest(KEY)]]], 'request-start-tls'],
    ['HTTP', [['client', [Buffer.from('GET / HTTP/1.1')]]], 'request-start-tls'],
    [
      'SSLRequest and a hello at once',
      [['client', [Buffer.concat([wire.SSL_REQUEST, S])]]],
      'request-start-tls',
    ],
    ['a hello before the answer', [asked, ['client', [Buffer.from('16', 'hex')]]], 'request-start-tls'],
    [
      'TLS after GSSENCRequest',
      [askedGss, ['server', [N]], ['client', [Buffer.from('16', 'hex')]]],
      'request-start-tls',
    ],
    ['a second GSSENCRequest', [askedGss, ['server', [N]], askedGss], 'request-start-tls'],
    [
      'a StartupMessage after N',
      [askedGss, ['server', [N]], ['client', [wire.STARTUP]]],
      'request-start-tls',
    ],
    ['N to SSLRequest', [asked, ['server', [N]]], 'upstream-starttls-refused'],
    ['E to SSLRequest', [asked, ['server', [wire.error('1', 'x')]]], 'upstream-starttls-refused'],
    ['G to GSSENCRequest', [askedGss, ['server', [Buffer.from('G')]]], 'upstream-starttls-refused'],
    ['S to GSSENCRequest', [askedGss, ['server', [S]]], 'upstream-starttls-malformed'],
    ['S and more', [asked, ['server', [Buffer.from('SR')]]], 'upstream-starttls-injected'],
    ['N and more', [askedGss, ['server', [Buffer.from('NS')]]], 'upstream-starttls-injected'],
    ['SSH', [asked, ['server', [Buffer.from('XSH')]]], 'upstream-starttls-malformed'],
    ['a server that speaks first', [['server', [S]]], 'upstream-starttls-malformed'],
  ])('%s ends it', (_, turns, verdict) => {
    expect(preamble(...turns).verdict).toBe(verdict)
  })

  test('is the same however a client’s packet is cut, and passes it whole', () => {
    for (const whole of [wire.SSL_REQUEST, wire.STARTUP, wire.cancelRequest(KEY)]) {
      const expected = preamble(['client', [whole]])
      fc.assert(
        fc.property(cuts(whole), (pieces) => {
          expect(preamble(['client', pieces])).toEqual(expected)
        }),
      )
    }
  })
})

describe('a refusal', () => {
  const words = { kind: 'denied', text: 'no' } as const
  const tell = (pieces: readonly Buffer[]) => {
    const refusal = new PostgresRefusal(words)
    const replies: Buffer[] = []
    let over = false
    for (const piece of [Buffer.alloc(0), ...pieces]) {
      if (over) break
      const step = refusal.answer(piece)
      replies.push(step.reply)
      over = step.over
    }
    return { over, reply: Buffer.concat(replies).toString('latin1') }
  }

  test('waits for the StartupMessage, and says no to requests before it', () => {
    const whole = Buffer.concat([wire.GSSENC_REQUEST, wire.SSL_REQUEST, wire.STARTUP])
    const expected = { over: true, reply: `NN${wire.error('28000', 'no').toString('latin1')}` }
    fc.assert(
      fc.property(cuts(whole), (pieces) => {
        expect(tell(pieces)).toEqual(expected)
      }),
    )
  })

  test.each<[string, Buffer, { over: boolean; reply: string }]>([
    ['nothing', Buffer.alloc(0), { over: false, reply: '' }],
    ['a CancelRequest', wire.cancelRequest(KEY), { over: true, reply: '' }],
    ['TLS', Buffer.from('16', 'hex'), { over: true, reply: '' }],
    ['HTTP', Buffer.from('GET / HTTP'), { over: true, reply: '' }],
    [
      'requests without end',
      Buffer.concat(Array.from({ length: 9 }, () => wire.SSL_REQUEST)),
      { over: true, reply: 'NNN' },
    ],
  ])('to %s', (_, bytes, expected) => {
    expect(tell([bytes])).toEqual(expected)
  })
})

describe('cancel keys', () => {
  const scope = { destination: 'orders', host: 'a.example', port: 5432 }

  test('are found by the same destination, host and port alone', () => {
    const keys = new CancelKeys()
    keys.remember(scope, KEY, '192.0.2.1:5432')
    expect(keys.find(scope, KEY)).toBe('192.0.2.1:5432')
    expect(keys.find({ ...scope, destination: 'other' }, KEY)).toBeNull()
    expect(keys.find({ ...scope, host: 'b.example' }, KEY)).toBeNull()
    expect(keys.find({ ...scope, port: 5433 }, KEY)).toBeNull()
    expect(keys.find(scope, KEY.subarray(0, 7))).toBeNull()
  })

  test('are forgotten with their session, and not with another one that has the same', () => {
    const keys = new CancelKeys()
    const first = keys.remember(scope, KEY, '192.0.2.1:5432')
    const second = keys.remember(scope, KEY, '192.0.2.2:5432')
    first()
    expect(keys.find(scope, KEY)).toBe('192.0.2.2:5432')
    second()
    expect(keys.find(scope, KEY)).toBeNull()
  })

  test('are bounded for each destination, and the oldest goes', () => {
    const keys = new CancelKeys(2)
    const [a, b, c] = [1, 2, 3].map((id) => wire.key(id, Buffer.alloc(4))) as [Buffer, Buffer, Buffer]
    keys.remember({ ...scope, destination: 'other' }, a, 'x:1')
    for (const key of [a, b, c]) keys.remember(scope, key, 'x:1')
    expect([a, b, c].map((key) => keys.find(scope, key) !== null)).toEqual([false, true, true])
    expect(keys.find({ ...scope, destination: 'other' }, a)).not.toBeNull()
  })
})
