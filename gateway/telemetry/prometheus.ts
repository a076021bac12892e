// Metrics as Prometheus text, exposition format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/).
import type { Distribution, Family, Labels } from './registry.ts'

/** All families, each with HELP and TYPE. */
export function renderPrometheus(families: readonly Family[]): string {
  return families
    .map((family) =>
      [
        `# HELP ${family.name} ${family.help}`,
        `# TYPE ${family.name} ${family.type}`,
        ...linesOf(family),
        '',
      ].join('\n'),
    )
    .join('')
}

function linesOf(family: Family): readonly string[] {
  const { name } = family
  return family.type === 'histogram'
    ? histogramLines(name, family.distribution)
    : family.series.map(({ labels, value }) => `${name}${formatLabels(labels)} ${format(value)}`)
}

function histogramLines(name: string, { bounds, counts, sum }: Distribution): readonly string[] {
  let below = 0
  const buckets = bounds.map((bound, index) => {
    below += counts[index] ?? 0
    return `${name}_bucket{le="${bound}"} ${below}`
  })
  const count = below + (counts[bounds.length] ?? 0)
  return [
    ...buckets,
    `${name}_bucket{le="+Inf"} ${count}`,
    `${name}_sum ${format(sum)}`,
    `${name}_count ${count}`,
  ]
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function format(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}
