// A matrix as text: a column a destination under a number, since names are longer than what stands below them.
import type { Field, Matrix } from './matrix.ts'

const WORDS: Readonly<Record<Field['result'], string>> = { allow: 'allow', deny: 'deny', conditional: 'if' }
const WIDTH = 7

/** Ends with a line break. */
export function matrixText({ at, destinations, rows }: Matrix): string {
  const who = Math.max(...rows.map((row) => row.who.length), 0) + 2
  const lines = [
    `At ${at}. Destinations:`,
    ...destinations.map((name, index) => `  [${index + 1}] ${name}`),
    '',
    `${''.padEnd(who)}${destinations.map((_, index) => `[${index + 1}]`.padEnd(WIDTH)).join('')}`,
    ...rows.map((row) => `${row.who.padEnd(who)}${row.fields.map(word).join('')}`),
  ]
  const named = rows.flatMap(({ who, fields }) =>
    fields
      .filter(({ policies }) => policies.length > 0)
      .map(
        ({ destination, result, policies }) =>
          `  ${who} → ${destination}: ${WORDS[result]}, ${policies.join(', ')}`,
      ),
  )
  if (named.length > 0) lines.push('', 'By policy:', ...named)
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

function word({ result }: Field): string {
  // A table of denials is read for what is none.
  return (result === 'deny' ? '·' : WORDS[result]).padEnd(WIDTH)
}
