// Labels are bounded, whatever clients do; and what is derived from the moment follows the clock.
import { describe, expect, test } from 'vitest'
import { isReasonCode, REASONS } from '../../../../gateway/audit/reasons.ts'
import { startEmfWriter } from '../../../../gateway/telemetry/emf-writer.ts'
import { createMetrics } from '../../../../gateway/telemetry/metrics.ts'
import { Writable } from 'node:stream'

function start() {
  let now = new Date('2026-08-01T10:00:00.000Z')
  const metrics = createMetrics({
    version: '1',
    audit: () => ({ dropped: 3, backlogBytes: 5, oldestWaitMs: 1500, failure: 'ENOSPC', recordsWaiting: 0 }),
    now: () => now,
  })
  return {
    metrics,
    pass: (ms: number) => {
      now = new Date(now.getTime() + ms)
    },
    [Symbol.dispose]: () => metrics.close(),
  }
}

const valueOf = (text: string, series: string) =>
  text
    .split('\n')
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1)

describe('metrics', () => {
  test('have a series for each reason code, and no more for however many attempts', () => {
    using started = start()
    const codes = Object.keys(REASONS).filter(isReasonCode)
    for (let round = 0; round < 3; round += 1)
      for (const code of codes) started.metrics.attempt('proxy', code, { sent: 1, received: 2 })
    const series = started.metrics.render().match(/^sallyport_sessions_total\{.*/gm) ?? []
    expect(series).toHaveLength(codes.length)
    expect(valueOf(started.metrics.render(), 'sallyport_bytes_total{direction="received"}')).toBe(
      String(codes.length * 6),
    )
  })

  test('say how the audit’s sink does', () => {
    using started = start()
    const text = started.metrics.render()
    expect(valueOf(text, 'sallyport_audit_failing')).toBe('1')
    expect(valueOf(text, 'sallyport_audit_oldest_wait_seconds')).toBe('1.5')
    expect(valueOf(text, 'sallyport_audit_dropped_total')).toBe('3')
  })

  test('say how long ago the second sink kept a checkpoint, once it has', () => {
    using started = start()
    const series = 'sallyport_audit_checkpoint_kept_age_seconds'
    started.metrics.checkpoint('written')
    started.metrics.checkpoint('lost')
    expect(valueOf(started.metrics.render(), series)).toBeUndefined()
    started.metrics.checkpoint('kept')
    started.pass(90_000)
    started.metrics.checkpoint('lost')
    expect(valueOf(started.metrics.render(), series)).toBe('90')
    expect(valueOf(started.metrics.render(), 'sallyport_audit_checkpoints_total{result="lost"}')).toBe('2')
  })

  test('say which reloads were applied, and when the last one was', () => {
    using started = start()
    started.metrics.reload('policy', 'applied')
    started.pass(5_000)
    started.metrics.reload('policy', 'rejected')
    const text = started.metrics.render()
    expect(valueOf(text, 'sallyport_reloads_total{source="policy",result="rejected"}')).toBe('1')
    expect(valueOf(text, 'sallyport_reload_applied_timestamp_seconds{source="policy"}')).toBe(
      String(Date.parse('2026-08-01T10:00:00.000Z') / 1000),
    )
  })

  test('read often show the same event-loop delay: no reader takes it from the other', () => {
    using started = start()
    const read = () => valueOf(started.metrics.render(), 'sallyport_event_loop_delay_max_seconds')
    const until = performance.now() + 60
    while (performance.now() < until);
    const first = Number(read())
    expect(Number(read())).toBeGreaterThanOrEqual(first)
  })
})

test('connections of a listener that is gone and of one that has its name are counted together, while there are any', () => {
  using started = start()
  const { metrics } = started
  const open = () => valueOf(metrics.render(), 'sallyport_connections_open{listener="proxy"}')
  metrics.listening('proxy', true)
  metrics.connectionsOpen('proxy', 1)
  metrics.connectionsOpen('proxy', 1)
  metrics.listening('proxy', false)
  metrics.listening('proxy', true)
  metrics.connectionsOpen('proxy', 1)
  expect(open()).toBe('3')
  metrics.connectionsOpen('proxy', -1)
  metrics.connectionsOpen('proxy', -1)
  metrics.connectionsOpen('proxy', -1)
  expect(open()).toBe('0')
  metrics.connectionsOpen('proxy', 1)
  metrics.listening('proxy', false)
  expect(open()).toBe('1')
  metrics.connectionsOpen('proxy', -1)
  expect(open()).toBeUndefined()
})

describe('the EMF writer', () => {
  function sinkOf() {
    const written: string[] = []
    let blocked = false
    const held: (() => void)[] = []
    const stream = new Writable({
      write(chunk: Buffer, _, done) {
        written.push(chunk.toString())
        if (blocked) held.push(done)
        else done()
      },
    })
    return {
      written,
      stream,
      block: () => {
        blocked = true
      },
      release: () => {
        blocked = false
        for (const done of held.splice(0)) done()
      },
    }
  }

  test('writes whole lines, and once more at the end', () => {
    using started = start()
    const { written, stream } = sinkOf()
    const emf = startEmfWriter({
      ...{ namespace: 'N', collect: () => started.metrics.collect(), now: () => new Date(0) },
      ...{ intervalMs: 60_000, stream },
    })
    started.metrics.probe('proxy')
    emf.close()
    expect(written.join('').endsWith('\n')).toBe(true)
    const documents = written
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(documents.find((one) => one.listener === 'proxy')).toMatchObject({ sallyport_probes_total: 1 })
  })

  test('adds nothing to what nobody reads, and loses no count by it', () => {
    using started = start()
    const { written, stream, block, release } = sinkOf()
    const options = {
      ...{ namespace: 'N', collect: () => started.metrics.collect(), now: () => new Date(0) },
      ...{ intervalMs: 60_000, stream },
    }
    block()
    stream.write(Buffer.alloc(2 * 1024 * 1024))
    started.metrics.probe('proxy')
    const emf = startEmfWriter(options)
    const waiting = stream.writableLength
    emf.close()
    expect(stream.writableLength).toBe(waiting)
    release()
    emf.close()
    expect(written.slice(1).join('')).toContain('"sallyport_probes_total":1')
  })
})
