import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  hideStartTls,
  smtpAdapter,
  smtpAscent,
  smtpPreamble,
  smtpRefusal,
} from '../../../../../gateway/upstream/starttls/smtp.ts'
import {
  climb,
  cut,
  heardGarbage,
  garbage,
  type Heard,
  pass,
  translate,
} from '../../../../fixtures/start-tls.ts'

const BANNER = '220-mx.partner.test ESMTP\r\n220 no spam\r\n'
const ABILITIES = '250-mx.partner.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n'
const READY = '220 2.0.0 go ahead\r\n'
const NAME = '[192.0.2.1]'

describe('the way up of SMTP', () => {
  test('greets, looks for STARTTLS and asks for it', () => {
    const climbed = climb(smtpAscent(NAME), [BANNER, ABILITIES, READY])
    expect(climbed).toEqual({
      said: 'EHLO [192.0.2.1]\r\nSTARTTLS\r\n',
      end: 'tls',
      kept: ['220-mx.partner.test ESMTP', '220 no spam'],
    })
  })

  test('says and keeps the same however the bytes are cut', () => {
    const whole = climb(smtpAscent(NAME), [BANNER, ABILITIES, READY])
    fc.assert(
      fc.property(cut([BANNER, ABILITIES, READY].map((text) => ['server', text] as const)), (pieces) => {
        expect(
          climb(
            smtpAscent(NAME),
            pieces.map(([, bytes]) => bytes),
          ),
        ).toEqual(whole)
      }),
    )
  })

  test.for<[string, string[], string, RegExp]>([
    ['greets with 554', ['554 5.7.1 no service\r\n'], 'refused', /greeted with "554 5.7.1 no service"/],
    ['does not offer STARTTLS', [BANNER, '250-x\r\n250 8BITMIME\r\n'], 'refused', /does not offer STARTTLS/],
    [
      'offers it in its own name alone',
      [BANNER, '250-STARTTLS\r\n250 SIZE\r\n'],
      'refused',
      /does not offer/,
    ],
    ['offers XSTARTTLS', [BANNER, '250-x\r\n250 XSTARTTLS\r\n'], 'refused', /does not offer/],
    ['does not know EHLO', [BANNER, '502 what\r\n'], 'refused', /answered EHLO with "502 what"/],
    [
      'answers STARTTLS by 454',
      [BANNER, ABILITIES, '454 not now\r\n'],
      'refused',
      /STARTTLS with "454 not now"/,
    ],
    ['says more behind its agreement', [BANNER, ABILITIES, `${READY}250 ok\r\n`], 'injected', /plaintext/],
    ['says a byte more behind its agreement', [BANNER, ABILITIES, `${READY}2`], 'injected', /plaintext/],
    ['answers before it is asked', [`${BANNER}${ABILITIES}${READY}`], 'malformed', /before it was asked/],
    ['greets with SSH', ['SSH-2.0-OpenSSH\r\n'], 'malformed', /"SSH-2.0-OpenSSH" for an SMTP reply/],
    ['ends lines with LF', ['220 x\n'], 'malformed', /a LF without CR/],
    ['has a CR in its line', ['220 x\r220 y\r\n'], 'malformed', /a CR without LF/],
    ['never ends its line', ['220 '.padEnd(5000, 'x')], 'malformed', /more than 4096 bytes/],
    ['never ends its reply', ['220-x\r\n'.repeat(20_000)], 'malformed', /more than 65536 bytes/],
    [
      'changes the code in its reply',
      ['220-x\r\n250 y\r\n'],
      'malformed',
      /began with 220 and went on with 250/,
    ],
  ])('is over where the server %s', ([, server, code, detail]) => {
    expect(climb(smtpAscent(NAME), server).end).toEqual({
      code: `upstream-starttls-${code}`,
      detail: expect.stringMatching(detail),
    })
  })

  test('shows nothing of the server but printable text', () => {
    const { end } = climb(smtpAscent(NAME), ['554 \u001b[2J"\u00ff\r\n'])
    expect(end).toMatchObject({ detail: 'the server greeted with "554 \\x1b[2J\\"\\xff"' })
  })

  test('never fails but by its own errors', () => {
    fc.assert(
      fc.property(fc.array(garbage('220 ', '250-', '250 STARTTLS\r\n')), (pieces) => {
        climb(smtpAscent(NAME), pieces)
      }),
    )
  })
})

describe('a client that speaks plaintext SMTP', () => {
  const greeting = ['220-mx.partner.test ESMTP', '220 no spam']
  const EHLO: Heard = ['client', 'EHLO me\r\n']

  test('is given the banner and the answer without STARTTLS', () => {
    const { toClient, toServer, done } = translate(smtpAdapter(greeting), [EHLO, ['server', ABILITIES]])
    expect(toServer).toBe('EHLO me\r\n')
    expect(toClient).toBe(`${BANNER}250-mx.partner.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n`)
    expect(done).toBe(false)
  })

  test('is told 502 where it asks for STARTTLS, in turn', () => {
    const both: Heard = ['client', 'EHLO me\r\nstarttls\r\n']
    const { toClient, toServer } = translate(smtpAdapter(greeting), [both, ['server', '250 x\r\n']])
    expect(toServer).toBe('EHLO me\r\n')
    expect(toClient).toMatch(/^220-.*\r\n220 .*\r\n250 x\r\n502 5\.5\.1 STARTTLS/)
  })

  test('is on its own with its first mail', () => {
    const mail = 'MAIL FROM:<a@b>\r\nDATA\r\nSTARTTLS\r\nEHLO x\r\n.\r\n'
    const answer = '250 ok\r\n250-x\r\n250 STARTTLS\r\n'
    const { toClient, toServer, done } = translate(smtpAdapter(greeting), [
      EHLO,
      ['server', ABILITIES],
      ['client', mail],
      ['server', answer],
    ])
    expect(done).toBe(true)
    expect(toServer).toBe(`EHLO me\r\n${mail}`)
    expect(toClient.endsWith(answer)).toBe(true)
  })

  test('sees no STARTTLS where it sends EHLO and mail at once', () => {
    const all: Heard = ['client', 'EHLO me\r\nMAIL FROM:<a@b>\r\n']
    const { toClient, done } = translate(smtpAdapter(greeting), [all, ['server', `${ABILITIES}250 ok\r\n`]])
    expect(toClient).toBe(`${BANNER}250-mx.partner.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n250 ok\r\n`)
    expect(done).toBe(true)
  })

  test.for<[string, Heard[]]>([
    [
      'a login',
      [EHLO, ['server', ABILITIES], ['client', 'AUTH PLAIN AGEAYg==\r\n'], ['server', '235 ok\r\n']],
    ],
    [
      'STARTTLS',
      [
        EHLO,
        ['server', ABILITIES],
        ['client', 'STARTTLS\r\n'],
        ['client', 'QUIT\r\n'],
        ['server', '221 bye\r\n'],
      ],
    ],
    [
      'no protocol',
      [
        ['client', 'x'.repeat(5000)],
        ['server', 'y'.repeat(5000)],
        ['server', '\n\n'],
      ],
    ],
  ])('gets the same however the bytes of %s are cut', ([, heard]) => {
    const whole = translate(smtpAdapter(greeting), heard)
    fc.assert(
      fc.property(cut(heard), (pieces) => {
        expect(translate(smtpAdapter(greeting), pieces)).toEqual(whole)
      }),
    )
  })

  test('loses and repeats nothing, whatever either side says', () => {
    fc.assert(
      fc.property(heardGarbage('EHLO x\r\n', '250-STARTTLS\r\n', '250 ok\r\n', 'NOOP\r\n'), (heard) => {
        const flood: Heard[] = [
          ['client', 'x'.repeat(4097)],
          ['server', 'y'.repeat(4097)],
        ]
        const { toServer, done } = translate(smtpAdapter(greeting), [...heard, ...flood])
        expect(done).toBe(true)
        const said = heard.filter(([side]) => side === 'client').map(([, bytes]) => bytes.toString('latin1'))
        expect(toServer).toBe(`${said.join('')}${'x'.repeat(4097)}`)
      }),
    )
  })
})

test('a list that ends with STARTTLS ends with the line before', () => {
  expect(hideStartTls(['250-x', '250-SIZE', '250 STARTTLS'])).toEqual(['250-x', '250 SIZE'])
  expect(hideStartTls(['250 x'])).toEqual(['250 x'])
})

describe('a client that does STARTTLS itself', () => {
  const UP: Heard[] = [
    ['server', BANNER],
    ['client', 'EHLO me.test\r\n'],
    ['server', ABILITIES],
    ['client', 'STARTTLS\r\n'],
    ['server', READY],
  ]

  test('gets to TLS by banner, EHLO and STARTTLS, and sees all of it', () => {
    expect(pass(smtpPreamble(), UP)).toEqual({
      toServer: 'EHLO me.test\r\nSTARTTLS\r\n',
      toClient: BANNER + ABILITIES + READY,
      next: 'tls',
      hello: '',
    })
  })

  test('gets there however the bytes are cut', () => {
    const whole = pass(smtpPreamble(), UP)
    fc.assert(
      fc.property(cut(UP), (pieces) => {
        expect(pass(smtpPreamble(), pieces)).toEqual(whole)
      }),
    )
  })

  test('may go on in plaintext words where the server will not', () => {
    const no: Heard[] = [
      ...UP.slice(0, 4),
      ['server', '454 not now\r\n'],
      ['client', 'QUIT\r\n'],
      ['server', '221 bye\r\n'],
    ]
    expect(pass(smtpPreamble(), no)).toMatchObject({
      toServer: 'EHLO me.test\r\nSTARTTLS\r\nQUIT\r\n',
      next: 'plain',
    })
  })

  test.for<[string, Heard[], string]>([
    ['speaks before the banner', [['client', 'EHLO me\r\n']], 'request-start-tls'],
    ['mails in plaintext', [...UP.slice(0, 3), ['client', 'MAIL FROM:<a@b>\r\n']], 'request-start-tls'],
    ['logs in in plaintext', [...UP.slice(0, 3), ['client', 'AUTH PLAIN AGEAYg==\r\n']], 'request-start-tls'],
    [
      'sends a second command with EHLO',
      [...UP.slice(0, 1), ['client', 'EHLO me\r\nSTARTTLS\r\n']],
      'request-start-tls',
    ],
    [
      'sends its ClientHello with STARTTLS',
      [...UP.slice(0, 3), ['client', 'STARTTLS\r\n\u0016\u0003\u0001']],
      'request-start-tls',
    ],
    [
      'sends it before the answer',
      [...UP.slice(0, 4), ['client', '\u0016\u0003\u0001']],
      'request-start-tls',
    ],
    [
      'puts more than a name into EHLO',
      [...UP.slice(0, 1), ['client', 'EHLO me secret=1\r\n']],
      'request-start-tls',
    ],
    ['talks without end', [...UP.slice(0, 1), ['client', 'x'.repeat(400)]], 'request-start-tls'],
    ['ends its line with LF', [...UP.slice(0, 1), ['client', 'EHLO me\n']], 'request-start-tls'],
  ])('is refused where it %s', ([, heard, code]) => {
    expect(pass(smtpPreamble(), heard).next).toMatchObject({ code })
  })

  test('is refused with nothing of what it said but the command', () => {
    const { next } = pass(smtpPreamble(), [...UP.slice(0, 3), ['client', 'AUTH PLAIN AGEAYg==\r\n']])
    expect(next).toEqual({ code: 'request-start-tls', detail: '"AUTH" before TLS' })
  })

  test.for<[string, Heard[], string]>([
    ['says more behind its agreement', [...UP.slice(0, 4), ['server', `${READY}250 x\r\n`]], 'injected'],
    ['is no SMTP', [['server', 'HTTP/1.1 400\r\n']], 'malformed'],
    ['speaks unasked', [...UP.slice(0, 1), ['server', '250 x\r\n']], 'malformed'],
  ])('is cut off from a server that %s', ([, heard, code]) => {
    expect(pass(smtpPreamble(), heard).next).toMatchObject({ code: `upstream-starttls-${code}` })
  })

  test('never makes the gateway pass on anything else', () => {
    fc.assert(
      fc.property(
        heardGarbage('EHLO x\r\n', '220 x\r\n', '250 STARTTLS\r\n', 'STARTTLS\r\n', 'MAIL'),
        (heard) => {
          const { toServer } = pass(smtpPreamble(), heard)
          expect(toServer).toMatch(/^(?:(?:EHLO|HELO) [^ \r\n]+\r\n|(?:STARTTLS|NOOP|RSET|QUIT)\r\n)*$/i)
          expect(toServer.length).toBeLessThanOrEqual(2048)
        },
      ),
    )
  })
})

test.for<['denied' | 'unavailable', string]>([
  ['denied', '554 5.7.1 not allowed RCPT TO:<x>\r\n'],
  ['unavailable', '421 4.3.2 not allowed RCPT TO:<x>\r\n'],
])('a refusal that is %s is one line whatever its text is', ([kind, line]) => {
  const refusing = smtpRefusal({ kind, text: 'not allowed\r\nRCPT TO:<x>' })
  expect(refusing.answer(Buffer.alloc(0))).toEqual({ reply: Buffer.from(line), over: true })
})
