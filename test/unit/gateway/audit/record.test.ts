import { describe, expect, test } from 'vitest'
import type { AttemptFacts, Outcome } from '../../../../gateway/audit/events.ts'
import {
  closedEvent,
  MAX_RECORD_BYTES,
  openedEvent,
  progressEvent,
} from '../../../../gateway/audit/record.ts'
import { toLine } from '../../../../gateway/audit/text.ts'
import { attempt, NOTHING_KNOWN } from '../../../fixtures/audit-facts.ts'

const LINK = { chain: '9f'.repeat(16), sequence: 42, previous: `sha256:${'c'.repeat(64)}` }
const REVISION = { config: 'sha256:1', policy: 'sha256:2' }
const CLOSED: Outcome = { code: 'closed', by: 'client', detail: null }

function close(facts: AttemptFacts, outcome: Outcome = CLOSED) {
  const closedAt = new Date('2026-08-01T10:00:05.021Z')
  return closedEvent(facts, { outcome, bytes: { sent: 812, received: 10240 }, closedAt }, LINK, REVISION)
}

describe('the closing record', () => {
  test('has the fields of the contract, in its order', () => {
    expect(toLine(close(attempt()))).toBe(
      '{"event":"session","id":"01K0000000000000000000000A","connection":"01K0000000000000000000000B",' +
        `"chain":"${'9f'.repeat(16)}","sequence":42,"previous":"sha256:${'c'.repeat(64)}",` +
        '"openedAt":"2026-08-01T10:00:00.000Z","closedAt":"2026-08-01T10:00:05.021Z","listener":"proxy",' +
        '"source":{"ip":"10.0.1.7","port":50122,"vpcEndpoint":null},"workload":"spiffe://example.org/payments/api",' +
        '"network":null,"serialNumber":"5f0a","tokenId":null,"credential":"certificate",' +
        '"requested":{"host":"api.bank.example","port":443,"serverName":null},"hints":null,' +
        '"destination":"partner-bank",' +
        '"decision":{"result":"allow","mode":"enforce","policies":["payments-to-bank"],"cached":false},' +
        '"upstream":{"address":"203.0.113.9:443","serverName":"api.bank.example","nameProof":"certificate",' +
        '"tlsVersion":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","resumed":false,' +
        `"certificateSha256":"${'aa'.repeat(32)}","clientCertificateSha256":"${'bb'.repeat(32)}","attempts":1},` +
        '"bytes":{"sent":812,"received":10240},"outcome":{"code":"closed","by":"client","detail":null,"hint":null},' +
        '"timings":{"handshakeMs":3.1,"decideMs":0.02,"resolveMs":1.2,"connectMs":0.4,"tlsMs":4.4,"durationMs":5021},' +
        '"revision":{"config":"sha256:1","policy":"sha256:2"}}',
    )
  })

  test('has null and never a missing field where nothing is known', () => {
    const event = close(attempt(NOTHING_KNOWN), {
      code: 'client-handshake-failed',
      by: 'client',
      detail: 'x',
    })
    expect(Object.keys(event)).toEqual(Object.keys(close(attempt())))
    expect(event).toMatchObject({ workload: null, requested: null, decision: null, upstream: null })
    expect(event.timings).toEqual({
      handshakeMs: null,
      decideMs: null,
      resolveMs: null,
      connectMs: null,
      tlsMs: null,
      durationMs: 5021,
    })
  })

  test('names the destination in the hint', () => {
    const outcome = {
      code: 'upstream-tls-client-certificate-required',
      by: 'upstream',
      detail: null,
    } as const
    expect(close(attempt(), outcome).outcome.hint).toContain('to destination "partner-bank"')
  })

  test('keeps nothing of a decision that the record does not have', () => {
    const decision = { result: 'deny', mode: 'enforce', policies: [], cached: false, error: 'x' } as const
    const event = close(attempt({ decision }))
    expect(event.decision).toEqual({ result: 'deny', mode: 'enforce', policies: [], cached: false })
  })

  test('has no negative duration where the clock was set back', () => {
    expect(close(attempt({ openedAt: new Date('2026-08-01T11:00:00.000Z') })).timings.durationMs).toBe(0)
  })

  const units = {
    'a control character': '\u0000',
    'a bidirectional one': '\u202e',
    'an emoji': '😀',
    'a letter': 'a',
  }
  const lengths = { 'short enough to fill every list': 20, 'longer than anything may be': 20_000 }
  const cases = Object.entries(units).flatMap(([name, unit]) =>
    Object.entries(lengths).map(([length, times]) => [`${name}, ${length}`, unit.repeat(times)] as const),
  )
  test.each(cases)('is at most 12 KiB with its line end where every text is %s', (_, long) => {
    const facts = attempt({
      id: long,
      connection: long,
      listener: long,
      source: { ip: long, port: 65_535, vpcEndpoint: long },
      workload: long,
      serialNumber: long,
      requested: { host: long, port: 65_535, serverName: long },
      destination: long,
      decision: { result: 'allow', mode: 'enforce', policies: Array(1000).fill(long), cached: false },
      upstream: {
        address: long,
        serverName: long,
        nameProof: 'certificate',
        tlsVersion: long,
        cipher: long,
        resumed: false,
        certificateSha256: long,
        clientCertificateSha256: long,
        attempts: Number.MAX_SAFE_INTEGER,
      },
    })
    const code = 'upstream-tls-client-certificate-required'
    const line = toLine(close(facts, { code, by: 'upstream', detail: long }))
    expect(Buffer.byteLength(line) + 1).toBeLessThanOrEqual(MAX_RECORD_BYTES)
    expect(line).toContain('[cut')
    const bytes = { sent: Number.MAX_SAFE_INTEGER, received: Number.MAX_SAFE_INTEGER }
    const others = [
      openedEvent(facts, LINK, REVISION),
      progressEvent(facts, { bytes, at: new Date() }, LINK, REVISION),
    ]
    for (const event of others) {
      expect(Buffer.byteLength(toLine(event)) + 1).toBeLessThanOrEqual(MAX_RECORD_BYTES)
    }
  })

  test('says how many policies it leaves out', () => {
    const policies = Array.from({ length: 1000 }, (_, index) => `policy-${index}`)
    const decision = { result: 'allow', mode: 'enforce', policies, cached: false } as const
    const kept = close(attempt({ decision })).decision?.policies ?? []
    expect(kept.at(-1)).toBe(`…[cut: ${1000 - (kept.length - 1)} more]`)
    expect(kept.slice(0, -1)).toEqual(policies.slice(0, kept.length - 1))
  })
})

test('the opening record has the same fields but for those of the end', () => {
  const opened = openedEvent(attempt(), LINK, REVISION)
  const ended = new Set(['closedAt', 'bytes', 'outcome', 'timings'])
  expect(Object.keys(opened)).toEqual(Object.keys(close(attempt())).filter((key) => !ended.has(key)))
  expect(opened.event).toBe('session.opened')
})

test('a record of progress has those of the opening, the moment and the bytes, and null where nothing is known', () => {
  const bytes = { sent: 1, received: 2 }
  const at = new Date('2026-08-01T10:05:00.000Z')
  const progress = progressEvent(attempt(NOTHING_KNOWN), { bytes, at }, LINK, REVISION)
  expect(progress).toMatchObject({
    event: 'session.progress',
    at: '2026-08-01T10:05:00.000Z',
    bytes,
    upstream: null,
  })
  const own = new Set(['at', 'bytes'])
  expect(Object.keys(progress).filter((key) => !own.has(key))).toEqual(
    Object.keys(openedEvent(attempt(), LINK, REVISION)),
  )
})
