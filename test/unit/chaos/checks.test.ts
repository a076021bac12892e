// Each check of a chaos run finds what it is there for, in a run that is whole but for that.
import { describe, expect, test } from 'vitest'
import type { SessionOpenedEvent } from '../../../gateway/audit/events.ts'
import type { Window } from '../../chaos/changes.ts'
import { faultsOf, type MadeUpRun, madeUpRun, MIB, type Record } from './made-up-run.ts'

test('a run that went well has no fault', () => {
  expect(faultsOf(madeUpRun())).toEqual([])
})

const sessionOf = ({ ledger }: MadeUpRun) => {
  const [session] = ledger.sessions
  const server = session?.server ?? null
  if (session === undefined || server === null) throw new Error('no session')
  return { ...session, session, server }
}
const recordOf = ({ events }: MadeUpRun) => events[1] as Record
const outcome = (
  run: MadeUpRun,
  code: Record['outcome']['code'],
  by: Record['outcome']['by'] = 'gateway',
) => {
  recordOf(run).outcome = { code, by, detail: null, hint: null }
}
const add = (run: MadeUpRun, name: string, value: number) => {
  const key = [...run.samples.keys()].find((one) => one.startsWith(name)) ?? name
  run.samples.set(key, (run.samples.get(key) ?? 0) + value)
}
const denied: Window = {
  ...{ change: 'deny', workload: 'steady', place: null, codes: ['policy-denied'] },
  ...{ from: 0, inForce: 1, undone: Number.MAX_SAFE_INTEGER, until: null },
}

describe('a fault is found, and told by itself:', () => {
  test.for<[string, (run: MadeUpRun) => void, readonly RegExp[]]>([
    [
      'a closing record that is missing',
      (run) => void run.events.splice(1, 1),
      [
        /0 has no closing record/,
        /session 0 has no record/,
        /a connection to proxy .* has no record/,
        /sessions_total is 2/,
        /bytes_total of sent is 200, records have 100/,
        /bytes_total of received is 100, records have 50/,
        /1 connections have no record \(proxy:50000 .*probes_total is 0/,
      ],
    ],
    [
      'a closing record that is there twice',
      (run) => void run.events.push(recordOf(run)),
      [
        /0 has two closing records/,
        /second record of session 0/,
        /bytes_total of sent is 200, records have 300/,
        /bytes_total of received is 100, records have 150/,
      ],
    ],
    [
      'a session with two records of different attempts',
      (run) => void run.events.push({ ...recordOf(run), id: 'another' }),
      [
        /^another is a second record of session 0/,
        /sessions_total is 2, closing records are 3/,
        /\(another\): it was served without an opening record/,
        /bytes_total of sent/,
        /bytes_total of received/,
      ],
    ],
    [
      'an opening record that is there twice',
      (run) => void run.events.splice(1, 0, run.events[0] as SessionOpenedEvent),
      [/0 has two opening records/],
    ],
    [
      'an opening record behind the closing one',
      (run) => void run.events.splice(0, 2, ...run.events.slice(0, 2).toReversed()),
      [/was opened after it was closed/],
    ],
    [
      'an opening record that is missing',
      (run) => void run.events.shift(),
      [/served without an opening record/],
    ],
    [
      'a record of nobody',
      (run) =>
        void run.events.push({
          ...recordOf(run),
          id: 'stranger',
          source: { ip: '127.0.0.1', port: 1, vpcEndpoint: null },
        }),
      [
        /^stranger is a record of nobody who was there/,
        /sessions_total is 2, closing records are 3/,
        /bytes_total of sent/,
        /bytes_total of received/,
      ],
    ],
    [
      'a connection that was taken and has no record',
      (run) =>
        void Object.assign(run.ledger.connection('proxy'), { port: 7, accepted: true, connected: true }),
      [
        /a connection to proxy was accepted and has no record/,
        /1 connections have no record .*probes_total is 0/,
      ],
    ],
    [
      'a byte to the server that is lost',
      (run) => void (sessionOf(run).server.received -= 1),
      [/closed in order and bytes are lost/, /an end that was none/, /record has other bytes/],
    ],
    [
      'a byte to the client that is lost',
      (run) => void (sessionOf(run).client.received -= 1),
      [/closed in order and bytes are lost/, /an end that was none/, /record has other bytes/],
    ],
    [
      'a byte that is not the one that was sent, at the client',
      (run) => void (sessionOf(run).client.fault = 'bytes from 7 on'),
      [/client: bytes from 7 on/],
    ],
    [
      'a byte that is not the one that was sent, at the server',
      (run) => void (sessionOf(run).server.fault = 'bytes from 7 on'),
      [/server: bytes from 7 on/],
    ],
    [
      'a record that says too little of what was sent',
      (run) => void (recordOf(run).bytes = { sent: 99, received: 50 }),
      [/bytes\.sent is not between/, /record has other bytes/, /bytes_total of sent/],
    ],
    [
      'a record that says too much of what was received',
      (run) => void (recordOf(run).bytes = { sent: 100, received: 51 }),
      [/bytes\.received is not between/, /record has other bytes/, /bytes_total of received/],
    ],
    [
      'more that arrived than was sent, inside of TLS',
      (run) => {
        const { session, server } = sessionOf(run)
        Object.assign(session, { protocol: 'inner' })
        server.received += 1
      },
      [/more arrived than was sent/, /bytes are lost/, /an end that was none/],
    ],
    [
      'more in flight than anything holds',
      (run) => {
        const { client, server } = sessionOf(run)
        Object.assign(client, { sent: 1e9, ended: false })
        Object.assign(server, { saw: 'reset', aborted: true })
        outcome(run, 'relay-upstream-reset', 'upstream')
      },
      [/too much is held in flight/],
    ],
    [
      'an end for the client that was none',
      (run) => {
        const { client, server } = sessionOf(run)
        Object.assign(server, { ended: false, sent: 60 })
        Object.assign(client, { aborted: true })
        outcome(run, 'relay-client-reset', 'client')
      },
      [/the client was told of an end that was none/],
    ],
    [
      'an end for the server that was none',
      (run) => {
        const { client, server } = sessionOf(run)
        Object.assign(client, { ended: false })
        Object.assign(server, { aborted: true })
        outcome(run, 'relay-upstream-reset', 'upstream')
      },
      [/the server was told of an end that was none/],
    ],
    [
      'an end in order that was a reset for one side',
      (run) => void (sessionOf(run).server.saw = 'reset'),
      [/closed in order, but not for both sides/],
    ],
    [
      'another client certificate than the record has',
      (run) => void Object.assign(sessionOf(run).session, { presented: 'cc' }),
      [/saw another client certificate \(cc\)/],
    ],
    [
      'an end that nothing explains',
      (run) => outcome(run, 'session-drained'),
      [/ended with session-drained, which nothing explains/],
    ],
    [
      'a session that was opened while it was denied',
      (run) => void run.windows.push(denied),
      [/opened in the midst of deny/],
    ],
    [
      'a gauge that is open',
      (run) => add(run, 'sallyport_sessions_open', 1),
      [/sallyport_sessions_open is 1 when nobody is there/],
    ],
    [
      'a gauge that is not there',
      (run) => void run.samples.delete('sallyport_h2_buffered_bytes'),
      [/sallyport_h2_buffered_bytes is undefined/],
    ],
    [
      'a session that is counted and not recorded',
      (run) => add(run, 'sallyport_sessions_total', 1),
      [/sallyport_sessions_total is 3, closing records are 2/],
    ],
    [
      'a byte that is counted and not recorded',
      (run) => add(run, 'sallyport_bytes_total{direction="received"}', 1),
      [/bytes_total of received is 101, records have 100/],
    ],
    [
      'a probe that nobody was',
      (run) => add(run, 'sallyport_probes_total', 1),
      [/0 connections have no record .*probes_total is 1/],
    ],
    [
      'a session that is not over for its client',
      (run) => void (sessionOf(run).session.endedAt = null),
      [/^is open: h1 steady to tls/],
    ],
    [
      'a connection that a server still has',
      (run) => void (run.liveServers = 1),
      [/1 connections to servers are open/],
    ],
    [
      'memory that grows',
      (run) => void run.held.push({ heap: 38 * MIB, external: MIB, resident: 0 }),
      [/holds 8388608 bytes more than after the warm-up/],
    ],
    [
      'buffers that grow',
      (run) => void run.held.push({ heap: 30 * MIB, external: 8 * MIB, resident: 0 }),
      [/holds 7340032 bytes more/],
    ],
  ])('%s', ([, spoil, expected]) => {
    const run = madeUpRun()
    spoil(run)
    const faults = faultsOf(run)
    for (const one of expected) expect(faults).toContainEqual(expect.stringMatching(one))
    // Nothing else is blamed, neither the other session nor another check.
    expect(faults.filter((fault) => !expected.some((one) => one.test(fault)))).toEqual([])
  })
})
