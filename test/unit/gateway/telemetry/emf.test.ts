import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEmf, MAX_METRICS } from '../../../../gateway/telemetry/emf.ts'
import { Registry } from '../../../../gateway/telemetry/registry.ts'

interface Emf {
  readonly _aws: {
    readonly Timestamp: number
    readonly CloudWatchMetrics: readonly [
      {
        readonly Namespace: string
        readonly Dimensions: readonly [readonly string[]]
        readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[]
      },
    ]
  }
  readonly [name: string]: unknown
}

const NOW = new Date('2026-08-01T10:00:00.000Z')

function start() {
  const registry = new Registry()
  const lines = createEmf({ namespace: 'Sallyport', collect: () => registry.collect(), now: () => NOW })
  return { registry, next: () => lines().map((line) => JSON.parse(line) as Emf) }
}

/** What the specification asks of every document, whoever wrote it. */
function check(emf: Emf): void {
  const { Timestamp, CloudWatchMetrics } = emf._aws
  expect(Timestamp).toBe(NOW.getTime())
  expect(Object.keys(emf._aws).sort()).toEqual(['CloudWatchMetrics', 'Timestamp'])
  for (const { Namespace, Dimensions, Metrics } of CloudWatchMetrics) {
    expect(Namespace).toBe('Sallyport')
    expect(Metrics.length).toBeGreaterThan(0)
    expect(Metrics.length).toBeLessThanOrEqual(100)
    expect(new Set(Metrics.map(({ Name }) => Name)).size).toBe(Metrics.length)
    for (const { Name, Unit } of Metrics) {
      expect(['Seconds', 'Bytes', 'Count']).toContain(Unit)
      expect(Number.isFinite(emf[Name])).toBe(true)
    }
    for (const set of Dimensions) {
      expect(set.length).toBeLessThanOrEqual(30)
      for (const name of set) {
        expect(typeof emf[name]).toBe('string')
        expect(String(emf[name]).length).toBeGreaterThan(0)
        expect(String(emf[name]).length).toBeLessThanOrEqual(1024)
      }
    }
  }
}

describe('EMF', () => {
  test('a counter is what was added since, and left out where that is nothing', () => {
    const { registry, next } = start()
    const counter = registry.counter('sessions_total', 'x')
    counter.add({ listener: 'proxy' }, 3)
    expect(next()).toEqual([
      {
        _aws: {
          Timestamp: NOW.getTime(),
          CloudWatchMetrics: [
            {
              Namespace: 'Sallyport',
              Dimensions: [['listener']],
              Metrics: [{ Name: 'sessions_total', Unit: 'Count' }],
            },
          ],
        },
        listener: 'proxy',
        sessions_total: 3,
      },
    ])
    expect(next()).toEqual([])
    counter.add({ listener: 'proxy' }, 2)
    expect(next()).toMatchObject([{ sessions_total: 2 }])
  })

  test('a gauge is as it stands, each time', () => {
    const { registry, next } = start()
    registry.gauge('backlog_bytes', 'x').set({}, 7)
    expect(next()).toMatchObject([{ backlog_bytes: 7 }])
    expect(next()).toMatchObject([{ backlog_bytes: 7 }])
  })

  test('a histogram is count, sum and percentiles of what came since', () => {
    const { registry, next } = start()
    const histogram = registry.histogram('open_seconds', 'x', [0.1, 1, 10])
    for (let at = 0; at < 98; at += 1) histogram.observe(0.05)
    histogram.observe(5)
    histogram.observe(500)
    expect(next()).toMatchObject([{ open_seconds_count: 100, open_seconds_p50: 0.1, open_seconds_p99: 10 }])
    expect(next()).toEqual([])
    histogram.observe(500)
    const [second] = next()
    expect(second).toMatchObject({ open_seconds_count: 1, open_seconds_p50: 10, open_seconds_sum: 500 })
    expect(second?._aws.CloudWatchMetrics[0].Metrics).toEqual([
      { Name: 'open_seconds_count', Unit: 'Count' },
      { Name: 'open_seconds_sum', Unit: 'Seconds' },
      { Name: 'open_seconds_p50', Unit: 'Seconds' },
      { Name: 'open_seconds_p99', Unit: 'Seconds' },
    ])
  })

  test('metrics of the same labels share a document, up to a hundred', () => {
    const { registry, next } = start()
    for (let at = 0; at < 250; at += 1) registry.gauge(`gauge_${at}`, 'x').set({ listener: 'a' }, at)
    registry.gauge('other', 'x').set({ listener: 'b' }, 1)
    const documents = next()
    for (const document of documents) check(document)
    expect(documents.map((one) => one._aws.CloudWatchMetrics[0].Metrics.length)).toEqual([
      MAX_METRICS,
      MAX_METRICS,
      50,
      1,
    ])
  })

  test('what CloudWatch would drop the document for is left out', () => {
    const { registry, next } = start()
    const gauge = registry.gauge('g', 'x')
    gauge.set({ name: 'good' }, 1)
    gauge.set({ name: 'nan' }, Number.NaN)
    gauge.set({ name: 'infinite' }, Number.POSITIVE_INFINITY)
    gauge.set({ name: '' }, 1)
    gauge.set({ name: 'x'.repeat(1025) }, 1)
    gauge.set(Object.fromEntries(Array.from({ length: 31 }, (_, at) => [`l${at}`, 'x'])), 1)
    expect(next()).toMatchObject([{ name: 'good', g: 1 }])
  })

  test('whatever is measured, the documents keep the specification and the counts add up', () => {
    const labels = fc.dictionary(
      fc.constantFrom('listener', 'code', 'stage'),
      fc.constantFrom('a', 'b', '', 'c"\\\n'),
    )
    const step = fc.record({
      metric: fc.integer({ min: 0, max: 120 }),
      labels,
      value: fc.integer({ min: 0, max: 1000 }),
      told: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const { registry, next } = start()
        const counters = Array.from({ length: 121 }, (_, at) => registry.counter(`c${at}_total`, 'x'))
        let added = 0
        let told = 0
        const tell = () => {
          for (const document of next()) {
            check(document)
            for (const { Name } of document._aws.CloudWatchMetrics[0].Metrics) told += Number(document[Name])
          }
        }
        for (const { metric, labels, value, told } of steps) {
          counters[metric]?.add(labels, value)
          if (!Object.values(labels).includes('')) added += value
          if (told) tell()
        }
        tell()
        expect(told).toBe(added)
      }),
      { numRuns: 60 },
    )
  })
})
