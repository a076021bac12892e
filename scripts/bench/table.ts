// The bench's figures as Markdown, which reads well on a terminal too.
import { ratioToBetter, type Rounds, type Spread, spread } from './figures.ts'
import type { Grown } from './growth.ts'
import { MEASURES, type Measure, type Measured } from './rounds.ts'

export const OWN = 'Sallyport'
const PEERS = ['HAProxy', 'nginx'] as const

interface Row {
  readonly label: string
  readonly unit: string
  /** Where the peers cannot do it: whose figure of what it is compared with. */
  readonly against?: { readonly measure: Measure; readonly peer: (typeof PEERS)[number] }
  /** The ratio that we aim for. */
  readonly aim?: number
}

const ROWS: Readonly<Record<Measure, Row>> = {
  download: { label: 'CPU per GiB, towards the client', unit: 's', aim: 1.05 },
  upload: { label: 'CPU per GiB, towards the service', unit: 's', aim: 1.05 },
  session: { label: 'CPU per new session, full handshake in', unit: 'ms', aim: 1.05 },
  originate: {
    label: 'CPU per new session over h2 CONNECT, originated',
    unit: 'ms',
    against: { measure: 'session', peer: 'nginx' },
  },
  passthrough: {
    label: 'CPU per new session over h2 CONNECT, passthrough',
    unit: 'ms',
    against: { measure: 'session', peer: 'nginx' },
    aim: 0.35,
  },
  memory: { label: 'resident memory per idle session', unit: 'KiB', aim: 1.5 },
  median: { label: 'round trip of 1 KiB, median', unit: 'ms' },
  p99: { label: 'round trip of 1 KiB, 99 of 100', unit: 'ms' },
}

/** Three significant digits at most, and no more than two behind the point. */
export function digits(value: number): string {
  if (value >= 100) return value.toFixed(0)
  return value.toFixed(value >= 10 ? 1 : 2)
}

function spreadText({ min, median, max }: Spread, bold = true): string {
  const middle = digits(median)
  return `${digits(min)} / ${bold ? `**${middle}**` : middle} / ${digits(max)}`
}

export interface Compared extends Spread {
  readonly to: string
}

/** Of one measure; null where a product that is needed has no figures. */
export function compare(measured: Measured, measure: Measure): Compared | null {
  const { against } = ROWS[measure]
  const own = measured[measure][OWN]
  if (own === undefined) return null
  const source = measured[against?.measure ?? measure]
  const names = against === undefined ? PEERS : [against.peer]
  const peers = Object.fromEntries(names.flatMap((name) => pair(source, name)))
  return Object.keys(peers).length === 0 ? null : ratioToBetter(own, peers)
}

function pair(rounds: Rounds, name: string): [string, readonly number[]][] {
  const values = rounds[name]
  return values === undefined ? [] : [[name, values]]
}

/** min / median / max of the rounds for each product, and the ratio with the aim. */
export function comparisonTable(measured: Measured): string {
  const head = ['lower is better', OWN, ...PEERS, 'ratio to the better peer', 'aim']
  const rows = MEASURES.map((measure) => {
    const { label, unit, aim } = ROWS[measure]
    const cells = [OWN, ...PEERS].map((name) => {
      const values = measured[measure][name]
      return values === undefined ? '' : spreadText(spread(values))
    })
    const ratio = compare(measured, measure)
    const said = ratio === null ? '' : `${spreadText(ratio)} (${ratio.to})`
    return [`${label}, ${unit}`, ...cells, said, aim === undefined ? '' : digits(aim)]
  })
  return markdown(head, rows)
}

export function growthTable(grown: readonly Grown[]): string {
  const head = [
    '',
    ...MEASURES.map((measure) => `${ROWS[measure].label}, ${ROWS[measure].unit}`),
    'CPU when idle, ms/s',
  ]
  const rows = grown.map(({ with: name, figures, idleCpu }) => [
    name,
    ...MEASURES.map((measure) => {
      const value = figures[measure]
      return value === undefined ? '' : digits(value)
    }),
    digits(idleCpu),
  ])
  // What grows reads down, so that the page is not as wide as the measures are many.
  return markdown(...turned(head, rows))
}

function turned(head: readonly string[], rows: readonly (readonly string[])[]): [string[], string[][]] {
  const [first = '', ...rest] = head
  const columns = rest.map((label, at) => [label, ...rows.map((row) => row[at + 1] ?? '')])
  return [[first, ...rows.map((row) => row[0] ?? '')], columns]
}

/** A table whose columns stand below each other. */
export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, at) => Math.max(3, cell.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, at) => (cells[at] ?? '').padEnd(width)).join(' | ')} |`
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}
