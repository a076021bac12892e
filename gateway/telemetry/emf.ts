// Metrics as CloudWatch Embedded Metric Format, one JSON object a line, from which CloudWatch Logs makes metrics
// (CloudWatch User Guide, "Specification: Embedded metric format"). Counters and histograms are what came since the last
// time, since CloudWatch adds up over tasks and time by itself; gauges are as they stand.
import { type Distribution, type Family, keyOf, type Labels, type Series } from './registry.ts'

/** Of the specification: definitions in one document, keys in one set of dimensions. */
export const MAX_METRICS = 100
const MAX_DIMENSIONS = 30
/** CloudWatch's: the longest value of a dimension. */
const MAX_DIMENSION_LENGTH = 1024

export interface EmfOptions {
  readonly namespace: string
  readonly collect: () => readonly Family[]
  readonly now: () => Date
}

interface Measured {
  readonly labels: Labels
  readonly name: string
  readonly unit: string
  readonly value: number
}

/** Gives, at each call, the lines of what has come since the last one; the first counts from the start. */
export function createEmf({ namespace, collect, now }: EmfOptions): () => readonly string[] {
  const before = new Map<string, number>()
  /** What was added since the last time; a counter never falls. */
  const since = (key: string, value: number): number => {
    const difference = value - (before.get(key) ?? 0)
    before.set(key, value)
    return difference
  }
  return () => {
    const timestamp = now().getTime()
    const measured = collect().flatMap((family) => measure(family, since))
    return [...byLabels(measured)].flatMap((same) =>
      chunks(same, MAX_METRICS).map((chunk) => documentOf(chunk, namespace, timestamp)),
    )
  }
}

type Since = (key: string, value: number) => number

function measure(family: Family, since: Since): readonly Measured[] {
  const { name } = family
  const unit = unitOf(name)
  if (family.type === 'histogram') return measureHistogram(name, family.distribution, since)
  const found = family.series.filter(isTellable)
  if (family.type === 'gauge') return found.map(({ labels, value }) => ({ labels, name, unit, value }))
  return found.flatMap(({ labels, value }) => {
    const added = since(`${name} ${keyOf(labels)}`, value)
    // A series that nothing was added to costs money and says nothing.
    return added === 0 ? [] : [{ labels, name, unit, value: added }]
  })
}

/** CloudWatch drops a whole document for one value that is no number, or for a dimension that is empty or too long. */
function isTellable({ labels, value }: Series): boolean {
  const texts = Object.values(labels)
  return (
    Number.isFinite(value) &&
    texts.length <= MAX_DIMENSIONS &&
    texts.every((text) => text !== '' && text.length <= MAX_DIMENSION_LENGTH)
  )
}

/**
 * As numbers of their own, since the format has an array of at most a hundred values and no counts beside it. A percentile is
 * the upper bound of its bucket; of what is above all bounds, the last.
 */
function measureHistogram(
  name: string,
  { bounds, counts, sum }: Distribution,
  since: Since,
): readonly Measured[] {
  const added = counts.map((count, index) => since(`${name} ${index}`, count))
  const total = added.reduce((all, count) => all + count, 0)
  const seconds = since(`${name} sum`, sum)
  if (total === 0) return []
  const percentile = (share: number): number => {
    let below = 0
    const at = added.findIndex((count) => {
      below += count
      return below >= total * share
    })
    return bounds[Math.min(at, bounds.length - 1)] ?? 0
  }
  const unit = unitOf(name)
  const values = { sum: seconds, p50: percentile(0.5), p99: percentile(0.99) }
  return [
    { labels: {}, name: `${name}_count`, unit: 'Count', value: total },
    ...Object.entries(values).map(([what, value]) => ({ labels: {}, name: `${name}_${what}`, unit, value })),
  ]
}

/** One document has one set of dimensions and one value for each name. */
function byLabels(measured: readonly Measured[]): Iterable<readonly Measured[]> {
  const groups = new Map<string, Measured[]>()
  for (const one of measured) {
    const key = keyOf(one.labels)
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return groups.values()
}

function chunks<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.slice(at * size, (at + 1) * size),
  )
}

function documentOf(measured: readonly Measured[], namespace: string, timestamp: number): string {
  const labels = measured[0]?.labels ?? {}
  return JSON.stringify({
    _aws: {
      Timestamp: timestamp,
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [Object.keys(labels)],
          Metrics: measured.map(({ name, unit }) => ({ Name: name, Unit: unit })),
        },
      ],
    },
    ...labels,
    ...Object.fromEntries(measured.map(({ name, value }) => [name, value])),
  })
}

function unitOf(name: string): string {
  if (/_seconds(?:_total)?$/.test(name)) return 'Seconds'
  return /_bytes(?:_total)?$/.test(name) ? 'Bytes' : 'Count'
}
