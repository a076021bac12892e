// `npm run bench:policy`: what a decision costs at 10, 100 and 1,000 policies, with and without index and cache, and what a
// new revision costs until it has answered for 2,000 pairs of workload and destination. CPU time of this process, so that
// a busy machine changes little; min, median and max of the rounds. It asserts nothing.
import { type CompileOptions, compilePolicy } from '../gateway/policy/compile.ts'
import type { Policy, Question } from '../gateway/policy/types.ts'
import { parseSpiffeId } from '../spiffe/id.ts'

const SIZES = [10, 100, 1_000]
const ROUNDS = 5
const PAIRS = 2_000

const known = (count: number) => ({
  destinations: Array.from({ length: count }, (_, at) => ({
    name: `d${at}`,
    tags: at % 3 === 0 ? ['pci'] : [],
  })),
  networks: [],
  trustDomains: ['example.org'],
})

/** Of every ten, eight are a team's permit for its destination, one is for all of a tag, one forbids. */
function textOf(count: number): string {
  return Array.from({ length: count }, (_, at) => {
    const id = `@id("p${at}") @owner("team${at}") @ticket("SEC-${at}")`
    const path = `principal in Path::"spiffe://example.org/team${at}"`
    if (at % 10 === 8) return `${id} permit (${path}, action, resource in Tag::"pci");`
    if (at % 10 === 9) {
      return `${id} forbid (principal, action, resource == Destination::"d${at}") when { context.serialNumber == "5f0a" };`
    }
    const until = at % 2 === 0 ? ' when { context.now < datetime("2099-06-30T00:00:00Z") }' : ''
    return `${id} permit (${path}, action, resource == Destination::"d${at}")${until};`
  }).join('\n')
}

function compile(count: number, options: CompileOptions): Policy {
  const result = compilePolicy([{ name: 'policy.cedar', text: textOf(count) }], known(count), options)
  if (!result.ok) throw new Error(result.faults[0]?.message ?? 'faults')
  return result.policy
}

function questions(count: number, pairs: number): readonly Question[] {
  const { destinations } = known(count)
  return Array.from({ length: pairs }, (_, at) => {
    const destination = destinations[at % count]
    if (destination === undefined) throw new Error('no destination')
    return {
      principal: {
        kind: 'workload',
        id: parseSpiffeId(`spiffe://example.org/team${at % count}/service${Math.floor(at / count)}`),
      },
      destination,
      host: 'api.partner.example',
      port: 443,
      context: { now: new Date(), sourceIp: '10.0.1.7', listener: 'proxy', serialNumber: '0b' },
    }
  })
}

/** Microseconds of CPU for one call, over all of the questions. */
function cost(policy: Policy, asked: readonly Question[]): number {
  const from = process.cpuUsage()
  for (const question of asked) policy.decide(question)
  const { user, system } = process.cpuUsage(from)
  return (user + system) / asked.length
}

function show(label: string, values: readonly number[], unit: string): void {
  const sorted = values.toSorted((a, b) => a - b)
  const [min = 0, median = 0, max = 0] = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
  const texts = [min, median, max].map((value) => value.toFixed(value < 100 ? 1 : 0).padStart(9))
  console.log(`${label.padEnd(44)}${texts.join('')}  ${unit}`)
}

console.log(`${''.padEnd(44)}${['min', 'median', 'max'].map((text) => text.padStart(9)).join('')}`)
// The engine is compiled to machine code bit by bit; without this the first figures would be of that.
cost(compile(10, { index: false, cache: false }), questions(10, 3_000))
for (const count of SIZES) {
  const rounds = (measure: () => number) => Array.from({ length: ROUNDS }, measure)
  const few = questions(count, Math.max(50, Math.min(200, 20_000 / count)))
  const plain = compile(count, { index: false, cache: false })
  const indexed = compile(count, { cache: false })
  const both = compile(count, {})
  for (const policy of [plain, indexed, both]) cost(policy, few)
  show(
    `${count} policies: all of them, each time`,
    rounds(() => cost(plain, few)),
    'µs a decision',
  )
  show(
    `${count} policies: index`,
    rounds(() => cost(indexed, few)),
    'µs a decision',
  )
  const many = Array.from({ length: 50 }, () => few).flat()
  show(
    `${count} policies: index and cache, kept`,
    rounds(() => cost(both, many)),
    'µs a decision',
  )
  const pairs = questions(count, PAIRS)
  const cold = () => (cost(compile(count, {}), pairs) * PAIRS) / 1000
  show(`${count} policies: ${PAIRS} pairs after a new revision`, rounds(cold), 'ms in all')
}
