import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  pop3Adapter,
  pop3Ascent,
  pop3Preamble,
  pop3Refusal,
} from '../../../../../gateway/upstream/starttls/pop3.ts'
import {
  climb,
  cut,
  garbage,
  type Heard,
  heardGarbage,
  pass,
  translate,
} from '../../../../fixtures/start-tls.ts'

const GREETING = '+OK ready <1896.697170952@mx.partner.test>\r\n'
const LIST = '+OK\r\nUSER\r\nSTLS\r\nUIDL\r\n.\r\n'
const READY = '+OK begin\r\n'
const KEPT = [GREETING.trimEnd()]

describe('the way up of POP3', () => {
  test('asks for TLS, however the bytes are cut', () => {
    fc.assert(
      fc.property(cut([GREETING, LIST, READY].map((text) => ['server', text] as const)), (pieces) => {
        expect(
          climb(
            pop3Ascent(),
            pieces.map(([, bytes]) => bytes),
          ),
        ).toEqual({
          said: 'CAPA\r\nSTLS\r\n',
          end: 'tls',
          kept: KEPT,
        })
      }),
    )
  })

  test.for<[string, string[], string, RegExp]>([
    ['greets with -ERR', ['-ERR busy\r\n'], 'refused', /greeted with "-ERR busy"/],
    ['does not know CAPA', [GREETING, '-ERR what\r\n'], 'refused', /answered CAPA/],
    ['lists no STLS', [GREETING, '+OK\r\nUSER\r\n.\r\n'], 'refused', /does not offer STLS/],
    ['answers -ERR', [GREETING, LIST, '-ERR no\r\n'], 'refused', /answered STLS with "-ERR no"/],
    ['says more behind its agreement', [GREETING, LIST, `${READY}+OK\r\n`], 'injected', /plaintext/],
    ['agrees before it is asked', [GREETING, `${LIST}${READY}`], 'malformed', /before it was asked/],
    ['greets with IMAP', ['* OK x\r\n'], 'malformed', /POP3 status/],
    ['lists without end', [GREETING, `+OK\r\n${'X\r\n'.repeat(40_000)}`], 'malformed', /more than 65536/],
  ])('is over where the server %s', ([, server, code, detail]) => {
    expect(climb(pop3Ascent(), server).end).toEqual({
      code: `upstream-starttls-${code}`,
      detail: expect.stringMatching(detail),
    })
  })

  test('never fails but by its own errors', () => {
    fc.assert(
      fc.property(fc.array(garbage('+OK ', '.\r\n', 'STLS\r\n', READY)), (pieces) => {
        climb(pop3Ascent(), pieces)
      }),
    )
  })
})

describe('a client that speaks plaintext POP3', () => {
  test('is given the greeting with its timestamp, and sees no STLS', () => {
    const { toClient, toServer } = translate(pop3Adapter(KEPT), [
      ['client', 'CAPA\r\nSTLS\r\n'],
      ['server', LIST],
    ])
    expect(toServer).toBe('CAPA\r\n')
    expect(toClient).toMatch(
      /^\+OK ready <1896\.697170952@mx\.partner\.test>\r\n\+OK\r\nUSER\r\nUIDL\r\n\.\r\n-ERR STLS/,
    )
  })

  test('is on its own when it logs in', () => {
    const login = 'USER u\r\nPASS p\r\nRETR 1\r\n'
    const { toClient, toServer, done } = translate(pop3Adapter(KEPT), [
      ['client', login],
      ['server', '+OK\r\n+OK\r\n+OK\r\nSTLS\r\n.\r\n'],
    ])
    expect({ toServer, done }).toEqual({ toServer: login, done: true })
    expect(toClient).toBe(`${GREETING}+OK\r\n+OK\r\n+OK\r\nSTLS\r\n.\r\n`)
  })

  test('gets the same however the bytes are cut', () => {
    const heard: Heard[] = [
      ['client', 'CAPA\r\nSTLS\r\nUSER u\r\n'],
      ['server', `${LIST}+OK\r\n`],
    ]
    const whole = translate(pop3Adapter(KEPT), heard)
    fc.assert(
      fc.property(cut(heard), (pieces) => {
        expect(translate(pop3Adapter(KEPT), pieces)).toEqual(whole)
      }),
    )
  })
})

describe('a client that does STLS itself', () => {
  const UP: Heard[] = [
    ['server', GREETING],
    ['client', 'CAPA\r\n'],
    ['server', LIST],
    ['client', 'STLS\r\n'],
    ['server', READY],
  ]

  test('gets to TLS, however the bytes are cut', () => {
    fc.assert(
      fc.property(cut(UP), (pieces) => {
        expect(pass(pop3Preamble(), pieces)).toEqual({
          toServer: 'CAPA\r\nSTLS\r\n',
          toClient: GREETING + LIST + READY,
          next: 'tls',
          hello: '',
        })
      }),
    )
  })

  test.for<[string, Heard[], string]>([
    ['names its user', [...UP.slice(0, 1), ['client', 'USER me\r\n']], '"USER" before TLS'],
    ['sends its password', [...UP.slice(0, 1), ['client', 'PASS secret\r\n']], '"PASS" before TLS'],
    [
      'logs in by APOP',
      [...UP.slice(0, 1), ['client', 'APOP me c4c9334bac560ecc979e58001b3e22fb\r\n']],
      '"APOP" before TLS',
    ],
    ['sends more with STLS', [...UP.slice(0, 1), ['client', 'STLS\r\nUSER me\r\n']], 'bytes came behind'],
    ['sends more before the answer', [...UP.slice(0, 4), ['client', 'USER me\r\n']], 'bytes came behind'],
  ])('is refused where it %s', ([, heard, detail]) => {
    expect(pass(pop3Preamble(), heard).next).toEqual({
      code: 'request-start-tls',
      detail: expect.stringContaining(detail),
    })
  })

  test('is cut off from a server that says more behind its agreement', () => {
    const { next } = pass(pop3Preamble(), [...UP.slice(0, 4), ['server', `${READY}+OK\r\n`]])
    expect(next).toMatchObject({ code: 'upstream-starttls-injected' })
  })

  test('never makes the gateway pass on anything else', () => {
    fc.assert(
      fc.property(heardGarbage(GREETING, 'CAPA\r\n', LIST, 'STLS\r\n', 'USER x\r\n'), (heard) => {
        expect(pass(pop3Preamble(), heard).toServer).toMatch(/^(?:(?:CAPA|STLS|QUIT)\r\n)*$/i)
      }),
    )
  })
})

test('a refusal is one line whatever its text is', () => {
  const refusing = pop3Refusal({ kind: 'denied', text: 'no\r\nUSER x' })
  expect(refusing.answer(Buffer.alloc(0))).toEqual({ reply: Buffer.from('-ERR no USER x\r\n'), over: true })
})
