import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ImapAdapter } from '../../../../../gateway/upstream/starttls/imap/adapter.ts'
import { imapAscent, imapPreamble, imapRefusal } from '../../../../../gateway/upstream/starttls/imap.ts'
import {
  climb,
  cut,
  garbage,
  type Heard,
  heardGarbage,
  pass,
  translate,
} from '../../../../fixtures/start-tls.ts'

const SILENT = '* OK Dovecot ready.\r\n'
const TALKATIVE = '* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] Dovecot ready.\r\n'
const LIST = '* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nsally1 OK done\r\n'
const READY = 'sally2 OK begin\r\n'

describe('the way up of IMAP', () => {
  test.for<[string, string[], string]>([
    ['lists capabilities', [TALKATIVE, READY], 'sally2 STARTTLS\r\n'],
    ['lists none', [SILENT, LIST, READY], 'sally1 CAPABILITY\r\nsally2 STARTTLS\r\n'],
  ])('asks for TLS where the greeting %s, however the bytes are cut', ([, server, said]) => {
    const kept = server[0]?.trimEnd()
    fc.assert(
      fc.property(cut(server.map((text) => ['server', text] as const)), (pieces) => {
        expect(
          climb(
            imapAscent(),
            pieces.map(([, bytes]) => bytes),
          ),
        ).toEqual({ said, end: 'tls', kept })
      }),
    )
  })

  test.for<[string, string[], string, RegExp]>([
    ['has authenticated us already', ['* PREAUTH hello\r\n'], 'refused', /PREAUTH/],
    ['says BYE', ['* BYE too many\r\n'], 'refused', /"\* BYE too many"/],
    ['lists no STARTTLS', ['* OK [CAPABILITY IMAP4rev1] x\r\n'], 'refused', /does not offer STARTTLS/],
    [
      'does not know CAPABILITY',
      [SILENT, 'sally1 BAD what\r\n'],
      'refused',
      /CAPABILITY with "sally1 BAD what"/,
    ],
    ['answers CAPABILITY without a list', [SILENT, 'sally1 OK\r\n'], 'refused', /does not offer/],
    ['answers NO', [TALKATIVE, 'sally2 NO later\r\n'], 'refused', /STARTTLS with "sally2 NO later"/],
    ['answers BAD', [TALKATIVE, 'sally2 BAD what\r\n'], 'refused', /BAD/],
    ['answers another tag', [TALKATIVE, 'sally1 OK\r\n'], 'malformed', /IMAP response/],
    ['says more behind its agreement', [TALKATIVE, `${READY}* CAPABILITY X\r\n`], 'injected', /plaintext/],
    ['agrees before it is asked', [`${TALKATIVE}${READY}`], 'malformed', /before it was asked/],
    ['greets with SMTP', ['220 x\r\n'], 'malformed', /IMAP greeting/],
    ['sends a literal', [SILENT, '* X {3}\r\n'], 'malformed', /IMAP response/],
  ])('is over where the server %s', ([, server, code, detail]) => {
    expect(climb(imapAscent(), server).end).toEqual({
      code: `upstream-starttls-${code}`,
      detail: expect.stringMatching(detail),
    })
  })

  test('never fails but by its own errors', () => {
    fc.assert(
      fc.property(
        fc.array(garbage('* OK ', '* CAPABILITY STARTTLS\r\n', 'sally1 OK x\r\n', READY)),
        (pieces) => {
          climb(imapAscent(), pieces)
        },
      ),
    )
  })
})

describe('a client that speaks plaintext IMAP', () => {
  const refreshed: Heard = ['server', '* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nsally3 OK done\r\n']

  test('is given the greeting with the capabilities that hold inside TLS', () => {
    const { toClient, toServer } = translate(new ImapAdapter(TALKATIVE.trimEnd()), [refreshed])
    expect(toServer).toBe('sally3 CAPABILITY\r\n')
    expect(toClient).toBe('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] Dovecot ready.\r\n')
  })

  test('is given a greeting without capabilities at once', () => {
    const { toClient, toServer } = translate(new ImapAdapter(SILENT.trimEnd()), [])
    expect(toServer).toBe('')
    expect(toClient).toBe(SILENT)
  })

  test('is given the greeting without a list where the server has none any more', () => {
    const { toClient } = translate(new ImapAdapter(TALKATIVE.trimEnd()), [['server', 'sally3 BAD no\r\n']])
    expect(toClient).toBe('* OK Dovecot ready.\r\n')
  })

  test('sees no STARTTLS, and is told BAD where it asks for it', () => {
    const { toClient, toServer, done } = translate(new ImapAdapter(SILENT.trimEnd()), [
      ['client', 'a1 CAPABILITY\r\na2 starttls\r\n'],
      ['server', '* CAPABILITY IMAP4rev1 STARTTLS IDLE\r\na1 OK done\r\n'],
    ])
    expect(toServer).toBe('a1 CAPABILITY\r\n')
    expect(toClient).toMatch(
      /^\* OK .*\r\na2 BAD STARTTLS .*\r\n\* CAPABILITY IMAP4rev1 IDLE\r\na1 OK done\r\n$/,
    )
    expect(done).toBe(false)
  })

  test('is on its own when it logs in', () => {
    const mail = 'a3 APPEND x {11}\r\n'
    const { toClient, toServer, done } = translate(new ImapAdapter(SILENT.trimEnd()), [
      ['client', 'a2 LOGIN u {3}\r\n'],
      ['server', '+ go on\r\n'],
      ['client', `pw\n\r\n${mail}`],
      ['server', '* CAPABILITY STARTTLS\r\na2 OK [CAPABILITY STARTTLS] in\r\n'],
    ])
    expect(done).toBe(true)
    expect(toServer).toBe(`a2 LOGIN u {3}\r\npw\n\r\n${mail}`)
    expect(toClient).toBe(`${SILENT}+ go on\r\n* CAPABILITY STARTTLS\r\na2 OK [CAPABILITY STARTTLS] in\r\n`)
  })

  test('sees no STARTTLS where it asks for capabilities and logs in at once', () => {
    const { toClient, done } = translate(new ImapAdapter(SILENT.trimEnd()), [
      ['client', 'a1 CAPABILITY\r\na2 LOGIN u p\r\n'],
      ['server', '* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\na2 OK in\r\n'],
    ])
    expect(toClient).toBe(`${SILENT}* CAPABILITY IMAP4rev1\r\na1 OK done\r\na2 OK in\r\n`)
    expect(done).toBe(true)
  })

  test('gets the same however the bytes are cut', () => {
    const heard: Heard[] = [
      refreshed,
      ['client', 'a1 CAPABILITY\r\na2 STARTTLS\r\na3 NOOP\r\n'],
      ['server', '* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\na3 OK\r\n'],
      ['client', 'a4 AUTHENTICATE PLAIN\r\nxx\r\n'],
      ['server', 'a4 OK in\r\n* 3 EXISTS\r\n'],
    ]
    const whole = translate(new ImapAdapter(TALKATIVE.trimEnd()), heard)
    fc.assert(
      fc.property(cut(heard), (pieces) => {
        expect(translate(new ImapAdapter(TALKATIVE.trimEnd()), pieces)).toEqual(whole)
      }),
    )
  })

  test('holds nothing back for ever, whatever either side says', () => {
    fc.assert(
      fc.property(
        heardGarbage('a1 CAPABILITY\r\n', '* CAPABILITY STARTTLS\r\n', 'a1 OK\r\n', 'sally3 OK\r\n'),
        (heard) => {
          const flood: Heard[] = [
            ['client', 'x'.repeat(4097)],
            ['server', 'y'.repeat(4097)],
          ]
          const { toServer, toClient, done } = translate(new ImapAdapter(TALKATIVE.trimEnd()), [
            ...heard,
            ...flood,
          ])
          expect(done).toBe(true)
          expect(toServer.endsWith('x'.repeat(4097))).toBe(true)
          expect(toClient.endsWith('y'.repeat(4097))).toBe(true)
        },
      ),
    )
  })
})

describe('a client that does STARTTLS itself', () => {
  const UP: Heard[] = [
    ['server', SILENT],
    ['client', 'a CAPABILITY\r\n'],
    ['server', '* CAPABILITY IMAP4rev1 STARTTLS\r\na OK done\r\n'],
    ['client', 'b STARTTLS\r\n'],
    ['server', 'b OK begin\r\n'],
  ]

  test('gets to TLS, however the bytes are cut', () => {
    fc.assert(
      fc.property(cut(UP), (pieces) => {
        expect(pass(imapPreamble(), pieces)).toEqual({
          toServer: 'a CAPABILITY\r\nb STARTTLS\r\n',
          toClient: `${SILENT}* CAPABILITY IMAP4rev1 STARTTLS\r\na OK done\r\nb OK begin\r\n`,
          next: 'tls',
          hello: '',
        })
      }),
    )
  })

  test.for<[string, Heard[], string]>([
    [
      'logs in in plaintext',
      [...UP.slice(0, 3), ['client', 'b LOGIN user secret\r\n']],
      '"LOGIN" before TLS',
    ],
    [
      'authenticates in plaintext',
      [...UP.slice(0, 3), ['client', 'b AUTHENTICATE PLAIN AGEAYg==\r\n']],
      '"AUTHENTICATE" before TLS',
    ],
    [
      'gives arguments to STARTTLS',
      [...UP.slice(0, 3), ['client', 'b STARTTLS x\r\n']],
      '"STARTTLS" before TLS',
    ],
    [
      'sends more with STARTTLS',
      [...UP.slice(0, 3), ['client', 'b STARTTLS\r\nc LOGIN u p\r\n']],
      'bytes came behind',
    ],
    ['sends more before the answer', [...UP.slice(0, 4), ['client', '\u0016']], 'bytes came behind'],
  ])('is refused where it %s', ([, heard, detail]) => {
    expect(pass(imapPreamble(), heard).next).toEqual({
      code: 'request-start-tls',
      detail: expect.stringContaining(detail),
    })
  })

  test('is cut off from a server that says more behind its agreement', () => {
    const { next } = pass(imapPreamble(), [...UP.slice(0, 4), ['server', 'b OK\r\n* X\r\n']])
    expect(next).toMatchObject({ code: 'upstream-starttls-injected' })
  })

  test('never makes the gateway pass on anything else', () => {
    fc.assert(
      fc.property(
        heardGarbage(SILENT, 'a CAPABILITY\r\n', 'a OK x\r\n', 'a STARTTLS\r\n', 'a LOGIN '),
        (heard) => {
          expect(pass(imapPreamble(), heard).toServer).toMatch(
            /^(?:[A-Za-z0-9._-]{1,32} (?:CAPABILITY|NOOP|LOGOUT|STARTTLS)\r\n)*$/i,
          )
        },
      ),
    )
  })
})

test.for<['denied' | 'unavailable', string]>([
  ['denied', '* BYE no x LOGIN\r\n'],
  ['unavailable', '* BYE [UNAVAILABLE] no x LOGIN\r\n'],
])('a refusal that is %s is one line whatever its text is', ([kind, line]) => {
  const refusing = imapRefusal({ kind, text: 'no\r\nx LOGIN' })
  expect(refusing.answer(Buffer.alloc(0))).toEqual({ reply: Buffer.from(line), over: true })
})
