// `sallyport policy test`: asks each case and says which are not as expected, and why.
import type { Fault } from '../../common/fault.ts'
import { UsageError } from '../diagnose/asked.ts'
import { readAsked } from './asked.ts'
import { type Explained, explain } from './explain.ts'
import { explanationText } from './explain-show.ts'
import { type LoadedPolicy, loadPolicy, type Output, printFaults } from './load.ts'
import { readTestFile, type TestCase, type TestFile } from './test-file.ts'

export interface TestOptions {
  readonly json?: true | undefined
}

export interface CaseResult {
  readonly name: string
  readonly file: string
  readonly line: number | null
  readonly passed: boolean
  readonly expected: { readonly result: 'allow' | 'deny'; readonly policies: readonly string[] | null }
  readonly found: { readonly result: 'allow' | 'deny'; readonly policies: readonly string[] }
  /** Of a case that is not as expected. */
  readonly explained: Explained | null
}

/** 0 where all are as expected, else 1. */
export async function runPolicyTest(
  files: readonly string[],
  options: TestOptions,
  output: Output = process,
): Promise<0 | 1> {
  const results: CaseResult[] = []
  for (const file of files) {
    const found = await runFile(file, new Date())
    if ('faults' in found) return printFaults(found.faults, options.json === true, output)
    results.push(...found)
  }
  const failed = results.filter(({ passed }) => !passed)
  if (options.json) {
    output.stdout.write(`${JSON.stringify({ ok: failed.length === 0, cases: results })}\n`)
  } else {
    for (const result of failed) output.stdout.write(`${failureText(result)}\n`)
    output.stdout.write(`${results.length} cases, ${failed.length} not as expected\n`)
  }
  return failed.length === 0 ? 0 : 1
}

async function runFile(
  file: string,
  now: Date,
): Promise<readonly CaseResult[] | { readonly faults: readonly Fault[] }> {
  const tests = await readTestFile(file)
  if (!tests.ok) return { faults: tests.faults }
  const loaded = await loadPolicy(tests.config)
  if (!loaded.ok) return { faults: loaded.faults }
  const results: CaseResult[] = []
  const faults: Fault[] = []
  for (const [index, one] of tests.cases.entries()) {
    const result = runCase(one, loaded, now)
    const line = tests.lineOf(['cases', index])
    if (result instanceof UsageError) faults.push(caseFault(file, one, index, result, tests))
    else results.push({ ...result, file, line })
  }
  return faults.length > 0 ? { faults } : results
}

type Result = Omit<CaseResult, 'file' | 'line'>

function runCase(one: TestCase, loaded: LoadedPolicy, now: Date): Result | UsageError {
  try {
    const asked = readAsked({ ...one, serial: one.serialNumber }, loaded.source, now)
    const explained = explain(loaded, asked)
    const found = { result: explained.result, policies: explained.decidedBy.map(({ id }) => id).toSorted() }
    const expected = { result: one.expect, policies: one.policies?.toSorted() ?? null }
    const passed =
      found.result === expected.result &&
      (expected.policies === null || expected.policies.join('\n') === found.policies.join('\n'))
    return { name: one.name, passed, expected, found, explained: passed ? null : explained }
  } catch (error) {
    if (error instanceof UsageError) return error
    throw error
  }
}

/** As keys are written in the file, where the option of `policy explain` is written otherwise. */
const KEYS: Readonly<Record<string, string>> = { 'source-ip': 'sourceIp', serial: 'serialNumber' }

function caseFault(
  file: string,
  { name }: TestCase,
  index: number,
  { message }: UsageError,
  { lineOf }: Extract<TestFile, { ok: true }>,
): Fault {
  const [, option, rest] = /^--([a-z-]+): ([\s\S]*)$/.exec(message) ?? []
  const key = option === undefined ? null : (KEYS[option] ?? option)
  const at = key === null ? ['cases', index] : ['cases', index, key]
  const text = (rest ?? message).replace('--workload spiffe://… or --network NAME', 'workload or network')
  return {
    file,
    line: lineOf(at) ?? lineOf(['cases', index]),
    key: `cases[${index}]${key === null ? '' : `.${key}`}`,
    message: `${text} (case ${JSON.stringify(name)})`,
    remedy: null,
  }
}

function failureText({ name, file, line, expected, found, explained }: CaseResult): string {
  const by = (policies: readonly string[] | null) =>
    policies === null ? '' : ` by ${policies.length === 0 ? 'no policy' : policies.join(', ')}`
  const lines = [
    `NOT AS EXPECTED ${file}:${line}: ${name}`,
    `  - expected ${expected.result}${by(expected.policies)}`,
    `  + found    ${found.result}${by(found.policies)}`,
  ]
  if (explained !== null)
    lines.push(
      ...explanationText(explained)
        .trimEnd()
        .split('\n')
        .map((one) => `    ${one}`),
    )
  return `${lines.map((one) => one.trimEnd()).join('\n')}\n`
}
