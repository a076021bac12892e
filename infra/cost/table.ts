// The tables of docs/deploy.md that say what a deployment costs, from synthesized templates and a dated file of prices.
import { BY_USE, type Charge, chargesOf, type ResourcesById } from './rules.ts'

export interface Prices {
  readonly date: string
  readonly region: string
  readonly currency: string
  readonly note: string
  readonly hoursPerMonth: number
  readonly prices: Readonly<
    Record<
      string,
      { readonly usd: number; readonly per: string; readonly source: string; readonly confirmed: boolean }
    >
  >
}

export interface CostedEnvironment {
  readonly name: string
  /** Of each stack. */
  readonly stacks: readonly ResourcesById[]
}

/** Markdown. @throws Error where a type or a price is not known */
export function costTables(environments: readonly CostedEnvironment[], prices: Prices): string {
  const costs = environments.map(({ stacks }) => sum(stacks, prices))
  const lines = [...new Set(costs.flatMap((cost) => [...cost.keys()]))]
  const rows = lines.map((line) => {
    const found = costs.map((cost) => cost.get(line) ?? null)
    const knob = found.find((one) => one !== null)?.knob ?? ''
    const cells = found.flatMap((one) => (one === null ? ['', ''] : [amount(one.count), dollars(one.usd)]))
    return [line, ...cells, knob]
  })
  const totals = costs.flatMap((cost) => ['', `**${dollars(total(cost))}**`])
  const heading = ['each month', ...environments.flatMap(({ name }) => [name, 'USD']), 'changed by']
  const types = new Set(
    environments.flatMap(({ stacks }) => stacks.flatMap((one) => Object.values(one).map(({ Type }) => Type))),
  )
  const use = BY_USE.filter(({ type }) => types.has(type)).map(({ what, prices: names, knob }) => [
    what,
    names.map((name) => `${priceOf(prices, name).usd} a ${priceOf(prices, name).per}`).join('; '),
    knob,
  ])
  const sources = [...new Set(Object.values(prices.prices).map(({ source }) => `<${source}>`))]
  return [
    `List prices of ${prices.region} in ${prices.currency} on ${prices.date}, ${prices.hoursPerMonth} hours a month, without tax and free tier, of the`,
    'settings in [infra/environments.ts](../infra/environments.ts):',
    '',
    markdown([heading, ...rows, ['**together**', ...totals, '']]),
    'And by use:',
    '',
    markdown([['by use', 'USD', 'changed by'], ...use]),
    `${prices.note} Sources: ${sources.join(', ')}.`,
  ].join('\n')
}

interface Line {
  readonly usd: number
  readonly count: number
  readonly knob: string
}

function sum(stacks: readonly ResourcesById[], prices: Prices): ReadonlyMap<string, Line> {
  const lines = new Map<string, Line>()
  const add = ({ line, price, units, count, knob }: Charge) => {
    const before = lines.get(line) ?? { usd: 0, count: 0, knob }
    const usd = before.usd + units * priceOf(prices, price).usd
    lines.set(line, { usd, count: before.count + count, knob })
  }
  for (const resources of stacks) {
    for (const resource of Object.values(resources)) {
      for (const charge of chargesOf(resource, { hours: prices.hoursPerMonth, resources })) add(charge)
    }
  }
  return lines
}

function priceOf({ prices, date }: Prices, name: string) {
  const price = prices[name]
  if (price === undefined) throw new Error(`the prices of ${date} have no ${name}`)
  return price
}

function total(cost: ReadonlyMap<string, Line>): number {
  return [...cost.values()].reduce((sum, { usd }) => sum + usd, 0)
}

function dollars(usd: number): string {
  return usd.toFixed(2)
}

function amount(count: number): string {
  return String(Math.round(count * 100) / 100)
}

/** With columns of one width, as the formatter wants them. */
function markdown(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0), 3),
  )
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |\n`
  return `${line(rows[0] ?? [])}${rule}${rows.slice(1).map(line).join('')}`
}
