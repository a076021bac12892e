import { expect, test } from 'vitest'
import { confirmWaitMs, judge, needsConfirmation } from '../../../../gateway/upstream/confirm.ts'

test.each([
  ['three handshake times', null, 100, 9_000, 300],
  ['at least 100 ms', null, 5, 9_000, 100],
  ['at most 1 s', null, 900, 9_000, 1_000],
  ['as configured, whatever the handshake took', 20, 900, 9_000, 20],
  ['as configured, also beyond 1 s', 3_000, 5, 9_000, 3_000],
  ['never beyond the budget', null, 100, 40, 40],
  ['never beyond the budget, as configured', 3_000, 5, 40, 40],
])('waits %s', (_name, fixedMs, handshakeMs, remainingMs, expected) => {
  expect(confirmWaitMs(fixedMs, handshakeMs, remainingMs)).toBe(expected)
})

const failure = new Error('alert')

test.each([
  ['nothing yet', { failure: null, ended: false, ticket: false }, 0, null],
  ['a ticket', { failure: null, ended: false, ticket: true }, 0, 'accepted'],
  ['data', { failure: null, ended: false, ticket: false }, 1, 'accepted'],
  ['data and an end', { failure: null, ended: true, ticket: false }, 1, 'accepted'],
  ['an end', { failure: null, ended: true, ticket: false }, 0, 'refused'],
  ['a ticket and an end', { failure: null, ended: true, ticket: true }, 0, 'refused'],
  ['an alert', { failure, ended: false, ticket: false }, 0, 'refused'],
  ['an alert after a ticket', { failure, ended: false, ticket: true }, 0, 'refused'],
  ['an alert after data', { failure, ended: true, ticket: true }, 1, 'refused'],
])('%s', (_name, signs, buffered, expected) => {
  expect(judge(signs, buffered)).toBe(expected)
})

test.each([
  ['TLS 1.3, asked', true, 'TLSv1.3', false, true],
  ['TLS 1.3, not asked', false, 'TLSv1.3', false, false],
  ['TLS 1.2, asked', true, 'TLSv1.2', false, false],
  ['a resumed session', true, 'TLSv1.3', true, false],
])('%s: waits %s', (_name, asked, protocol, resumed, expected) => {
  const seen = {
    certificateSha256: null,
    protocol,
    cipher: null,
    resumed,
    group: null,
    chain: [],
    proof: null,
  }
  expect(needsConfirmation({ asked, seen })).toBe(expected)
})
