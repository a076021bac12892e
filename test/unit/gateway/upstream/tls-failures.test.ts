import { describe, expect, test } from 'vitest'
import {
  alertOf,
  clientCertificateFailure,
  lateCode,
  tlsFailure,
  type TlsSituation,
} from '../../../../gateway/upstream/tls-failures.ts'
import { UpstreamError } from '../../../../gateway/upstream/types.ts'

const alert = (number: number): Error =>
  Object.assign(
    new Error(`40:error:0A000:SSL routines:ssl3_read_bytes:x:a.c:918:SSL alert number ${number}\n`),
    {
      code: 'ERR_SSL_X',
      reason: 'tls alert x',
    },
  )
const coded = (code: string): Error => Object.assign(new Error('what happened'), { code })

const START: TlsSituation = { asked: false, presented: false, finished: false, chain: [] }
const ASKED: TlsSituation = { ...START, asked: true }
const PRESENTED: TlsSituation = { ...ASKED, presented: true }
const FINISHED: TlsSituation = { ...START, finished: true }

const CASES: Record<string, { error: Error; situation: TlsSituation; code: string }> = {
  'handshake_failure at once': { error: alert(40), situation: START, code: 'upstream-tls-cipher' },
  'handshake_failure, asked, none': {
    error: alert(40),
    situation: ASKED,
    code: 'upstream-tls-client-certificate-required',
  },
  'handshake_failure, asked, presented': {
    error: alert(40),
    situation: PRESENTED,
    code: 'upstream-tls-client-certificate-refused',
  },
  'certificate_required, asked, none': {
    error: alert(116),
    situation: ASKED,
    code: 'upstream-tls-client-certificate-required',
  },
  'unknown_ca, presented': {
    error: alert(48),
    situation: PRESENTED,
    code: 'upstream-tls-client-certificate-refused',
  },
  'unknown_ca without a request': {
    error: alert(48),
    situation: START,
    code: 'upstream-tls-handshake-failed',
  },
  'internal_error, presented': {
    error: alert(80),
    situation: PRESENTED,
    code: 'upstream-tls-handshake-failed',
  },
  protocol_version: { error: alert(70), situation: START, code: 'upstream-tls-protocol' },
  insufficient_security: { error: alert(71), situation: START, code: 'upstream-tls-cipher' },
  unrecognized_name: { error: alert(112), situation: START, code: 'upstream-tls-handshake-failed' },
  'a reset at once': { error: coded('ECONNRESET'), situation: START, code: 'upstream-tls-closed' },
  'a broken pipe at once': { error: coded('EPIPE'), situation: START, code: 'upstream-tls-closed' },
  'a reset after our certificate': {
    error: coded('ECONNRESET'),
    situation: PRESENTED,
    code: 'upstream-tls-client-certificate-refused',
  },
  'a reset after it asked in vain': {
    error: coded('ECONNRESET'),
    situation: ASKED,
    code: 'upstream-tls-client-certificate-required',
  },
  plaintext: {
    error: coded('ERR_SSL_WRONG_VERSION_NUMBER'),
    situation: START,
    code: 'upstream-tls-plaintext',
  },
  'an old version chosen': {
    error: coded('ERR_SSL_UNSUPPORTED_PROTOCOL'),
    situation: START,
    code: 'upstream-tls-protocol',
  },
  'anything else': {
    error: coded('ERR_SSL_BAD_SIGNATURE'),
    situation: START,
    code: 'upstream-tls-handshake-failed',
  },
  'no code at all': { error: new Error('x'), situation: START, code: 'upstream-tls-handshake-failed' },
  expired: {
    error: coded('CERT_HAS_EXPIRED'),
    situation: FINISHED,
    code: 'upstream-tls-certificate-expired',
  },
  'not yet valid': {
    error: coded('CERT_NOT_YET_VALID'),
    situation: FINISHED,
    code: 'upstream-tls-certificate-not-yet-valid',
  },
  'unknown root': {
    error: coded('SELF_SIGNED_CERT_IN_CHAIN'),
    situation: FINISHED,
    code: 'upstream-tls-certificate-untrusted',
  },
  'a missing issuer': {
    error: coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    situation: FINISHED,
    code: 'upstream-tls-certificate-untrusted',
  },
  'a verdict of an unknown name': {
    error: coded('UNSPECIFIED'),
    situation: FINISHED,
    code: 'upstream-tls-certificate-refused',
  },
  'a verdict beside a request': {
    error: coded('INVALID_PURPOSE'),
    situation: { ...PRESENTED, finished: true },
    code: 'upstream-tls-certificate-refused',
  },
  'a small group': {
    error: coded('ERR_TLS_DH_PARAM_SIZE'),
    situation: FINISHED,
    code: 'upstream-tls-cipher',
  },
}

describe('tlsFailure', () => {
  for (const [name, { error, situation, code }] of Object.entries(CASES)) {
    test(`${name}: ${code}`, () => {
      const failure = tlsFailure(error, situation)
      expect(failure.code).toBe(code)
      expect(failure.cause).toBe(error)
    })
  }

  test('our own verdict passes through', () => {
    const own = new UpstreamError('upstream-tls-pin-mismatch', 'x')
    expect(tlsFailure(own, FINISHED)).toBe(own)
  })

  test('the detail is the reason and the alert, without thread ids and source paths', () => {
    expect(tlsFailure(alert(48), PRESENTED).message).toBe('tls alert x (alert 48)')
    expect(tlsFailure(coded('ECONNRESET'), START).message).toBe('what happened (ECONNRESET)')
  })
})

describe('lateCode', () => {
  const cases: Record<string, { error: Error; asked: boolean; presented: boolean; code: string }> = {
    'a certificate alert': {
      error: alert(45),
      asked: true,
      presented: true,
      code: 'upstream-tls-client-certificate-refused',
    },
    'certificate_required where we had none': {
      error: alert(116),
      asked: true,
      presented: false,
      code: 'upstream-tls-client-certificate-required',
    },
    'a certificate alert of a server that did not ask': {
      error: alert(45),
      asked: false,
      presented: false,
      code: 'relay-upstream-failed',
    },
    'another alert': { error: alert(80), asked: true, presented: true, code: 'relay-upstream-failed' },
    'a reset': { error: coded('ECONNRESET'), asked: true, presented: true, code: 'relay-upstream-reset' },
    'a broken pipe': { error: coded('EPIPE'), asked: false, presented: false, code: 'relay-upstream-reset' },
    'something else': {
      error: new Error('x'),
      asked: false,
      presented: false,
      code: 'relay-upstream-failed',
    },
  }
  for (const [name, { error, code, ...situation }] of Object.entries(cases)) {
    test(`${name}: ${code}`, () => {
      expect(lateCode(error, situation)).toBe(code)
    })
  }
})

test('clientCertificateFailure says an end where there was no error', () => {
  const failure = clientCertificateFailure(null, { presented: true })
  expect(failure.code).toBe('upstream-tls-client-certificate-refused')
  expect(failure.message).toBe('the server ended the connection after the handshake')
})

test('alertOf reads alerts alone', () => {
  expect(alertOf(alert(116))).toBe(116)
  expect(alertOf(coded('ECONNRESET'))).toBeNull()
})
