// Policies that are checked in slices are checked as they are at once, and leave the event loop its turns.
import { expect, test } from 'vitest'
import { compilePolicy, compilePolicyInSlices } from '../../../../gateway/policy/compile.ts'
import { atOnce, inSlices, portions, type Steps } from '../../../../gateway/policy/steps.ts'

const KNOWN = {
  destinations: Array.from({ length: 5 }, (_, at) => ({ name: `d${at}`, tags: [] })),
  networks: [],
  trustDomains: ['example.org'],
}

const line = (at: number) =>
  `@id("p${at}") permit (principal in Path::"spiffe://example.org/t${at}", action, resource == Destination::"d${at % 5}");`
const many = (count: number) => Array.from({ length: count }, (_, at) => line(at))
const file = (lines: readonly string[]) => [{ name: 'policy.cedar', text: lines.join('\n') }]

test('the event loop has its turns meanwhile', async () => {
  let turns = 0
  let over = false
  const count = () => {
    turns += 1
    if (!over) setImmediate(count)
  }
  setImmediate(count)
  const compiled = await compilePolicyInSlices(file(many(300)), KNOWN)
  over = true
  expect(compiled.ok).toBe(true)
  expect(turns).toBeGreaterThan(3)
})

test.for<[string, readonly string[]]>([
  ['many that are right', many(230)],
  ['one far behind that does not parse', many(230).with(217, '@id("bad") permit (principal is Workload;')],
  ['one far behind that names what is not there', many(230).with(217, line(217).replace('d2', 'd9'))],
  ['one far behind with an @id that is used', many(230).with(217, line(3))],
  ['a multi-line comment of ours behind many', [...many(99), '// "', ...many(101).slice(99), '// ;']],
  ['one that never applies', [...many(30), `${line(30).slice(0, -1)} when { false };`]],
])('%s: the answer is that of a check at once, with its lines', async ([, lines]) => {
  const now = () => new Date('2026-11-01T00:00:00Z')
  const sliced = await compilePolicyInSlices(file(lines), KNOWN, { now })
  const whole = compilePolicy(file(lines), KNOWN, { now })
  const { policy: _one, ...rest } = { policy: null, ...sliced }
  const { policy: _other, ...expected } = { policy: null, ...whole }
  expect(rest).toEqual(expected)
  if (!sliced.ok && lines[217] !== line(217)) expect(sliced.faults.map((fault) => fault.line)).toContain(218)
})

test('what a step throws comes out of both', async () => {
  const steps = function* (): Steps<number> {
    yield
    throw new RangeError('broken')
  }
  expect(() => atOnce(steps())).toThrow('broken')
  await expect(inSlices(steps())).rejects.toThrow('broken')
})

test('portions are all of it, in order', () => {
  expect([...portions([1, 2, 3, 4, 5], 2)]).toEqual([[1, 2], [3, 4], [5]])
  expect([...portions([], 2)]).toEqual([])
})
