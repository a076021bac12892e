// The one registry of counters, gauges and histograms. What it collects is rendered as Prometheus text (prometheus.ts) and as
// CloudWatch EMF (emf.ts). Label values come from configuration and closed unions, never from a peer, so that the number of
// series is bounded.

export type Labels = Readonly<Record<string, string>>

export interface Counter {
  add(labels: Labels, value?: number): void
  /** For what is counted again and again by the same labels. It is no series before it was counted once. */
  readonly at: (labels: Labels) => OneSeries
}

export interface Gauge {
  set(labels: Labels, value: number): void
  add(labels: Labels, value: number): void
  /** What it was of is there no more. */
  remove(labels: Labels): void
}

export interface Histogram {
  observe(value: number): void
}

export interface Series {
  readonly labels: Labels
  readonly value: number
}

interface Entry {
  readonly labels: Labels
  value: number
}

/** One series, whose labels are looked up once. */
export class OneSeries {
  readonly #find: () => Entry
  #entry: Entry | null = null

  constructor(find: () => Entry) {
    this.#find = find
  }

  add(value = 1): void {
    this.#entry ??= this.#find()
    this.#entry.value += value
  }
}

export interface Distribution {
  /** Upper bounds in ascending order, +Inf left out. */
  readonly bounds: readonly number[]
  /** How many values fell at or under each bound and above the one before; the last is above all bounds. */
  readonly counts: readonly number[]
  readonly sum: number
}

/** One metric as it stands at this moment. */
export type Family = { readonly name: string; readonly help: string } & (
  | { readonly type: 'counter' | 'gauge'; readonly series: readonly Series[] }
  | { readonly type: 'histogram'; readonly distribution: Distribution }
)

const NO_LABELS: Labels = {}

export class Registry {
  readonly #families: (() => Family)[] = []

  counter(name: string, help: string): Counter {
    const series = this.#series(name, help, 'counter')
    return { add: (labels, value = 1) => series.add(labels, value), at: series.at }
  }

  gauge(name: string, help: string): Gauge {
    return this.#series(name, help, 'gauge')
  }

  /** Read when it is asked for. */
  sampled(name: string, help: string, type: 'counter' | 'gauge', read: () => number): void {
    this.sampledSeries(name, help, type, () => [{ labels: NO_LABELS, value: read() }])
  }

  /** As `sampled`, by labels. */
  sampledSeries(name: string, help: string, type: 'counter' | 'gauge', read: () => readonly Series[]): void {
    this.#families.push(() => ({ name, help, type, series: read() }))
  }

  /** `bounds` are upper bounds in ascending order; +Inf is added. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const counts = [...bounds.map(() => 0), 0]
    let sum = 0
    this.#families.push(() => ({
      name,
      help,
      type: 'histogram',
      distribution: { bounds, counts: [...counts], sum },
    }))
    return {
      observe(value) {
        sum += value
        const at = bounds.findIndex((bound) => value <= bound)
        const bucket = at === -1 ? bounds.length : at
        counts[bucket] = (counts[bucket] ?? 0) + 1
      },
    }
  }

  /** All metrics, in the order in which they were made. */
  collect(): readonly Family[] {
    return this.#families.map((family) => family())
  }

  #series(name: string, help: string, type: 'counter' | 'gauge'): Gauge & Pick<Counter, 'at'> {
    const values = new Map<string, Entry>()
    this.#families.push(() => ({
      name,
      help,
      type,
      series: [...values.values()].map(({ labels, value }) => ({ labels, value })),
    }))
    const entry = (labels: Labels) => {
      const key = keyOf(labels)
      const found = values.get(key) ?? { labels, value: 0 }
      values.set(key, found)
      return found
    }
    return {
      set: (labels, value) => void (entry(labels).value = value),
      add: (labels, value) => void (entry(labels).value += value),
      remove: (labels) => void values.delete(keyOf(labels)),
      at: (labels) => new OneSeries(() => entry(labels)),
    }
  }
}

/** One text for one set of labels, whatever is in it. */
export function keyOf(labels: Labels): string {
  let key = ''
  for (const name in labels) {
    const value = labels[name] ?? ''
    key += `${name.length}:${name}${value.length}:${value}`
  }
  return key
}
