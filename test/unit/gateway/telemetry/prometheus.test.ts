import { describe, expect, test } from 'vitest'
import { renderPrometheus } from '../../../../gateway/telemetry/prometheus.ts'
import { type Family, Registry } from '../../../../gateway/telemetry/registry.ts'

const valuesOf = (families: readonly Family[]) =>
  families.flatMap((family) => (family.type === 'histogram' ? [] : family.series)).map(({ value }) => value)

test('a series by its labels is the one that they name, and none before it was counted', () => {
  const registry = new Registry()
  const counter = registry.counter('sessions_total', 'Sessions.')
  const [one, same] = [counter.at({ listener: 'a' }), counter.at({ listener: 'a' })]
  expect(valuesOf(registry.collect())).toEqual([])
  one.add()
  same.add(2)
  counter.add({ listener: 'a' }, 4)
  expect(valuesOf(registry.collect())).toEqual([7])
})

describe('Prometheus text', () => {
  test('has help and type of each metric, series by labels, and buckets that add up', () => {
    const registry = new Registry()
    const counter = registry.counter('sessions_total', 'Sessions.')
    counter.add({ listener: 'a', code: 'closed' })
    counter.add({ listener: 'a', code: 'closed' }, 2)
    counter.add({ listener: 'quo"te\\and\nline' })
    registry.sampledSeries('age_seconds', 'Age.', 'gauge', () => [
      { labels: { name: 'x' }, value: 1.5 },
      { labels: {}, value: Number.NEGATIVE_INFINITY },
    ])
    const histogram = registry.histogram('open_seconds', 'Opening.', [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value)
    expect(renderPrometheus(registry.collect())).toBe(`# HELP sessions_total Sessions.
# TYPE sessions_total counter
sessions_total{listener="a",code="closed"} 3
sessions_total{listener="quo\\"te\\\\and\\nline"} 1
# HELP age_seconds Age.
# TYPE age_seconds gauge
age_seconds{name="x"} 1.5
age_seconds -Inf
# HELP open_seconds Opening.
# TYPE open_seconds histogram
open_seconds_bucket{le="0.1"} 2
open_seconds_bucket{le="1"} 3
open_seconds_bucket{le="+Inf"} 4
open_seconds_sum 7.65
open_seconds_count 4
`)
  })
})
