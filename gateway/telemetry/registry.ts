// A registry of counters, gauges and histograms that renders Prometheus text (exposition format 0.0.4). Label values
// come from configuration and closed unions, never from a peer, so that the number of series is bounded.

export type Labels = Readonly<Record<string, string>>

export interface Counter {
  add(labels: Labels, value?: number): void
}

export interface Gauge {
  set(labels: Labels, value: number): void
  add(labels: Labels, value: number): void
}

export interface Histogram {
  observe(value: number): void
}

interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  lines(): readonly string[]
}

export class Registry {
  readonly #families: Family[] = []

  counter(name: string, help: string): Counter {
    const series = this.#series(name, help, 'counter')
    return { add: (labels, value = 1) => series.add(labels, value) }
  }

  gauge(name: string, help: string): Gauge {
    return this.#series(name, help, 'gauge')
  }

  /** A gauge that is read when it is asked for. */
  sampled(name: string, help: string, type: 'counter' | 'gauge', read: () => number): void {
    this.#families.push({ name, help, type, lines: () => [`${name} ${format(read())}`] })
  }

  /** `bounds` are upper bounds in ascending order; +Inf is added. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const counts = bounds.map(() => 0)
    let count = 0
    let sum = 0
    const lines = () => [
      ...bounds.map((bound, index) => `${name}_bucket{le="${bound}"} ${counts[index]}`),
      `${name}_bucket{le="+Inf"} ${count}`,
      `${name}_sum ${format(sum)}`,
      `${name}_count ${count}`,
    ]
    this.#families.push({ name, help, type: 'histogram', lines })
    return {
      observe(value) {
        count += 1
        sum += value
        for (const [index, bound] of bounds.entries()) {
          if (value <= bound) counts[index] = (counts[index] ?? 0) + 1
        }
      },
    }
  }

  render(): string {
    return this.#families
      .map((family) =>
        [
          `# HELP ${family.name} ${family.help}`,
          `# TYPE ${family.name} ${family.type}`,
          ...family.lines(),
          '',
        ].join('\n'),
      )
      .join('')
  }

  #series(name: string, help: string, type: 'counter' | 'gauge'): Gauge {
    const values = new Map<string, number>()
    this.#families.push({
      name,
      help,
      type,
      lines: () => [...values].map(([key, value]) => `${key} ${format(value)}`),
    })
    const key = (labels: Labels) => `${name}${formatLabels(labels)}`
    return {
      set: (labels, value) => void values.set(key(labels), value),
      add: (labels, value) => void values.set(key(labels), (values.get(key(labels)) ?? 0) + value),
    }
  }
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function format(value: number): string {
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : 'NaN'
}
