import { randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { createAuditLog } from '../../../../gateway/audit/chain.ts'
import type { AuditLogOptions } from '../../../../gateway/audit/chain.ts'
import { verifyChain } from '../../../fixtures/audit-chain.ts'
import { attempt, MemorySink, NO_KEY } from '../../../fixtures/audit-facts.ts'

const sessionEvents = (lines: readonly string[]) =>
  verifyChain(lines).flatMap((event) => (event.event === 'checkpoint' ? [] : [event]))

const BYTES = { sent: 1, received: 2 }

function start(changes: Partial<AuditLogOptions> = {}) {
  const sink = new MemorySink()
  const log = createAuditLog({
    sink,
    revision: () => ({ config: 'sha256:1', policy: 'sha256:2' }),
    now: () => new Date('2026-08-01T10:00:05Z'),
    random: randomBytes,
    onFailure: 'refuse',
    maxBacklogBytes: 10_000,
    ...NO_KEY,
    ...changes,
  })
  const write = (times: number, detail: string | null = null): void => {
    for (let count = 0; count < times; count += 1) {
      log.opened(attempt())
      log.closed(attempt(), { code: 'closed', by: 'client', detail }, BYTES)
    }
  }
  return { sink, log, write }
}

describe('the chain', () => {
  test('numbers from 1 and binds every line to the one before', () => {
    const { sink, write } = start()
    write(10, 'ümlaut \u202e and 😀, whose bytes are not its characters')
    const events = verifyChain(sink.lines)
    expect(events).toHaveLength(20)
    expect(events[0]).toMatchObject({ event: 'session.opened', sequence: 1, previous: null })
    expect(events[0]?.chain).toMatch(/^[0-9a-f]{32}$/)
  })

  test('start lines between the events are no part of it', () => {
    const { sink, write } = start()
    sink.line('{"event":"listening","listener":"proxy","address":"127.0.0.1:1"}')
    write(2)
    sink.line('{"event":"ready"}')
    write(1)
    expect(verifyChain(sink.lines)).toHaveLength(6)
  })

  test('another process has another chain', () => {
    const [one, other] = [start(), start()]
    one.write(1)
    other.write(1)
    expect(verifyChain(one.sink.lines)[0]?.chain).not.toBe(verifyChain(other.sink.lines)[0]?.chain)
  })

  const tampering: Record<string, (lines: string[]) => string[]> = {
    'a changed line shows': (lines) =>
      lines.map((line, index) => (index === 3 ? line.replace('10.0.1.7', '10.0.1.8') : line)),
    'a changed byte of white space shows': (lines) =>
      lines.map((line, index) => (index === 3 ? `${line} ` : line)),
    'a line left out shows': (lines) => lines.toSpliced(3, 1),
    'a repeated line shows': (lines) => lines.toSpliced(3, 0, lines[3] ?? ''),
    'exchanged lines show': (lines) => lines.toSpliced(3, 2, lines[4] ?? '', lines[3] ?? ''),
    'a beginning left out shows': (lines) => lines.slice(1),
  }
  test.each(Object.entries(tampering))('%s', (_, tamper) => {
    const { sink, write } = start()
    write(5)
    expect(() => verifyChain(tamper(sink.lines))).toThrow(/^line \d+: /)
  })

  test('the revision is the one in force when the event is written', () => {
    let policy = 'sha256:old'
    const { sink, write } = start({ revision: () => ({ config: 'sha256:1', policy }) })
    write(1)
    policy = 'sha256:new'
    write(1)
    expect(sessionEvents(sink.lines).map(({ revision }) => revision.policy)).toEqual([
      'sha256:old',
      'sha256:old',
      'sha256:new',
      'sha256:new',
    ])
  })
})

test('what was judged keeps the revision that it was judged by, in all of its events', () => {
  const { sink, log } = start()
  const judged = attempt({ revision: { config: 'sha256:then', policy: 'sha256:then' } })
  log.opened(judged)
  log.progress(judged, BYTES)
  log.closed(judged, { code: 'closed', by: 'client', detail: null }, BYTES)
  expect(sessionEvents(sink.lines).map(({ revision }) => revision.policy)).toEqual(
    Array.from({ length: 3 }, () => 'sha256:then'),
  )
})

describe('the record of a session that was ended with others', () => {
  const OUTCOME = { code: 'policy-denied', by: 'gateway', detail: null } as const
  const ended = (changes: Partial<AuditLogOptions> = {}) => {
    let at = Date.parse('2026-08-01T10:00:05Z')
    const started = start({ ...changes, now: () => new Date(at) })
    for (let n = 0; n < 300; n += 1) {
      started.log.opened(attempt())
      started.log.closedSoon(attempt(), OUTCOME, BYTES)
    }
    at += 60_000
    return started
  }
  const closings = (lines: readonly string[]) =>
    verifyChain(lines).filter((event) => event.event === 'session')

  test('comes by itself, with the moment of the end and not that of the writing', async () => {
    const { sink } = ended()
    expect(closings(sink.lines)).toEqual([])
    await expect.poll(() => closings(sink.lines)).toHaveLength(300)
    for (const event of closings(sink.lines)) {
      expect(event).toMatchObject({ closedAt: '2026-08-01T10:00:05.000Z', outcome: OUTCOME })
    }
  })

  test('has the revision that was in force then', async () => {
    let policy = 'sha256:old'
    const { sink } = ended({ revision: () => ({ config: 'sha256:1', policy }) })
    policy = 'sha256:new'
    await expect.poll(() => closings(sink.lines)).toHaveLength(300)
    expect(new Set(closings(sink.lines).map((event) => event.revision.policy))).toEqual(
      new Set(['sha256:old']),
    )
  })

  test('is waited for where the log is closed in the same turn', async () => {
    const { sink, log } = ended()
    await log.close(1_000)
    expect(closings(sink.lines)).toHaveLength(300)
    await new Promise((resolve) => setImmediate(resolve))
    expect(closings(sink.lines)).toHaveLength(300)
  })

  test('is counted while it waits, and after five seconds nothing new is to be let in', () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000)
    try {
      const { log } = ended()
      clock.mockReturnValue(6_000)
      expect(log.state()).toMatchObject({ recordsWaiting: 300, oldestWaitMs: 5_000, backlogBytes: 0 })
      expect(log.available()).toBe(true)
      clock.mockReturnValue(6_001)
      expect(log.available()).toBe(false)
      void log.close(1_000)
      expect(log.state()).toMatchObject({ recordsWaiting: 0, oldestWaitMs: 0 })
      expect(log.available()).toBe(true)
    } finally {
      clock.mockRestore()
    }
  })

  test('waits with 20,000 others at most: with one more the oldest is made', () => {
    const { log, sink } = start({ maxBacklogBytes: 1e9 })
    const facts = attempt()
    for (let n = 0; n < 20_000; n += 1) log.closedSoon(facts, OUTCOME, BYTES)
    expect(sink.lines).toHaveLength(0)
    for (let n = 0; n < 10; n += 1) log.closedSoon(facts, OUTCOME, BYTES)
    expect(sink.lines).toHaveLength(10)
    expect(log.state().recordsWaiting).toBe(20_000)
  })

  test('that cannot be made is told, and takes no other with it', async () => {
    const told: unknown[] = []
    const { log, sink } = start({ onError: (error) => void told.push(error) })
    log.closedSoon(attempt({ id: 1n as never }), OUTCOME, BYTES)
    log.closedSoon(attempt(), OUTCOME, BYTES)
    await log.close(1_000)
    expect(told).toEqual([expect.any(TypeError)])
    expect(closings(sink.lines)).toHaveLength(1)
  })
})

describe('availability', () => {
  const WELL = { failure: null, backlogBytes: 0, oldestWaitMs: 0, dropped: 0 }
  const states: Record<
    string,
    readonly [state: Partial<typeof WELL> | { failure: string }, refuse: boolean]
  > = {
    'all is well': [{}, true],
    'the stream has an error': [{ failure: 'EPIPE' }, false],
    'as much waits as may': [{ backlogBytes: 10_000 }, true],
    'more bytes wait than may': [{ backlogBytes: 10_001 }, false],
    'the oldest waits 5 s': [{ oldestWaitMs: 5_000 }, true],
    'the oldest waits longer than 5 s': [{ oldestWaitMs: 5_001 }, false],
  }
  test.each(Object.entries(states))('refuse, and %s', (_, [state, expected]) => {
    const { sink, log } = start()
    sink.current = { ...WELL, ...state }
    expect(log.available()).toBe(expected)
  })
  test.each(Object.entries(states))('continue is always available: %s', (_, [state]) => {
    const { sink, log } = start({ onFailure: 'continue' })
    sink.current = { ...WELL, ...state }
    expect(log.available()).toBe(true)
  })

  test('events go on past the backlog, are dropped at four times it, and the gap shows', () => {
    const { sink, write } = start()
    write(1)
    sink.current = { ...WELL, backlogBytes: 20_000 }
    write(1)
    expect(verifyChain(sink.lines)).toHaveLength(4)
    sink.current = { ...WELL, backlogBytes: 40_000 }
    write(1)
    sink.current = WELL
    write(1)
    expect(sink.lines).toHaveLength(6)
    expect(() => verifyChain(sink.lines)).toThrow('line 5: sequence 7 in place of 5')
  })

  test('closing waits for the sink', async () => {
    const { sink, log } = start()
    await log.close(1234)
    expect(sink.closedAfterMs).toBe(1234)
  })
})
