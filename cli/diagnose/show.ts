// A diagnosis as text for a terminal: who asks for what, a line a step with what it found below, and at the end what to do.
import { REASONS } from '../../gateway/audit/reasons.ts'
import type { Diagnosis, Step } from './types.ts'

const STEP_WIDTH = 20
const RESULT_WIDTH = 4
const MS_WIDTH = 9
const INDENT = ' '.repeat(STEP_WIDTH + RESULT_WIDTH + MS_WIDTH)

/** Ends with a line break. */
export function toText(diagnosis: Diagnosis): string {
  const { asked, steps } = diagnosis
  const lines = [
    `${asked.workload ?? `network ${asked.network}`} from ${asked.sourceIp}, by listener ${asked.listener}, asks for ${asked.host}:${asked.port}`,
    '',
    `${'step'.padEnd(STEP_WIDTH)}${''.padEnd(RESULT_WIDTH)}${'ms'.padStart(MS_WIDTH - 2)}`,
    ...steps.flatMap(stepLines),
    '',
    ...verdict(diagnosis),
  ]
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function stepLines({ step, result, ms, notes }: Step): readonly string[] {
  const [first = '', ...more] = notes
  const took = ms === null ? '' : ms.toFixed(1)
  const head = `${step.padEnd(STEP_WIDTH)}${(result === 'no' ? 'NO' : result).padEnd(RESULT_WIDTH)}`
  return [`${head}${took.padStart(MS_WIDTH - 2)}  ${first}`, ...more.map((note) => `${INDENT}${note}`)]
}

function verdict({ code, detail, advice }: Diagnosis): readonly string[] {
  if (code === null) return [`Reached. To do: ${advice}`]
  const because = detail === null ? '' : ` (${detail})`
  return [`No: ${code}: ${REASONS[code].meaning}${because}`, `To do: ${advice}`]
}
