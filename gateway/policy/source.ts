// Cedar source text as statements with their place in the file. Cedar's own splitter loses lines and sorts policy10
// before policy2, so the text is scanned here, by the same lexical rules: `//` comments up to the end of the line and
// double-quoted strings with backslash escapes. Trusts nothing; whether a statement is Cedar at all is Cedar's to say.
import { atOnce, type Steps } from './steps.ts'

/** Far above any policy set that can be evaluated in useful time. */
export const MAX_POLICY_BYTES = 2 * 1024 * 1024
/**
 * Cedar's engine recurses over the syntax tree and a stack overflow leaves it unusable for the whole process, which
 * would turn one bad policy into a dead gateway. Brackets overflow at a nesting of about 120, chains of operators at
 * about 350; both bounds together use little more than half of the stack.
 */
export const MAX_NESTING = 24
/** Of `&&`, `||`, `+`, `-`, `*`, `.`, `if`, `when` and `unless` in one policy. */
export const MAX_OPERATORS = 160

const TOKEN = /\/\/[^\n\r]*|\s+|"[^"\\]*(?:\\[\s\S][^"\\]*)*"?|[A-Za-z_][A-Za-z0-9_]*|&&|\|\||[\s\S]/g
const OPERATORS: ReadonlySet<string> = new Set(['&&', '||', '+', '-', '*', '.', 'if', 'when', 'unless'])

export interface StringLiteral {
  /** Between the quotes, escapes as written. */
  readonly raw: string
  readonly line: number
}

export interface Statement {
  readonly file: string
  /** From the first token to the `;`. */
  readonly text: string
  /** 1-based line of the first token. */
  readonly line: number
  /** Of its last character and one, in the text of the file. */
  readonly end: number
  readonly strings: readonly StringLiteral[]
  readonly nesting: number
  readonly operators: number
}

/** Splits at every `;` outside strings and comments. A rest without `;` is a statement too: nothing is left out. */
export function readStatements(file: string, text: string): readonly Statement[] {
  return atOnce(statementsOf(file, text))
}

/** As readStatements, and may be left behind each of them. */
export function* statementsOf(file: string, text: string): Steps<readonly Statement[]> {
  const statements: Statement[] = []
  let open: OpenStatement | null = null
  let line = 1
  for (const match of text.matchAll(TOKEN)) {
    const token = match[0]
    if (!isBlank(token)) {
      open ??= { file, line, start: match.index, strings: [], depth: 0, nesting: 0, operators: 0 }
      note(open, token, line)
      if (token === ';') {
        statements.push(finish(open, text, match.index + 1))
        open = null
        yield
      }
    }
    line += countLineFeeds(token)
  }
  if (open !== null) statements.push(finish(open, text, text.length))
  return statements
}

interface OpenStatement {
  readonly file: string
  readonly line: number
  readonly start: number
  readonly strings: StringLiteral[]
  depth: number
  nesting: number
  operators: number
}

function note(open: OpenStatement, token: string, line: number): void {
  if (token.startsWith('"')) open.strings.push({ raw: token.slice(1, -1), line })
  else if (token === '(' || token === '[' || token === '{') {
    open.depth += 1
    open.nesting = Math.max(open.nesting, open.depth)
  } else if (token === ')' || token === ']' || token === '}') open.depth -= 1
  else if (OPERATORS.has(token)) open.operators += 1
}

function finish(open: OpenStatement, text: string, end: number): Statement {
  const { file, line, strings, nesting, operators } = open
  return { file, line, end, strings, nesting, operators, text: text.slice(open.start, end) }
}

function isBlank(token: string): boolean {
  return token.startsWith('//') || token.trim() === ''
}

function countLineFeeds(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1
  return count
}

/** The line, counted from `firstLine`, of an offset as Cedar reports it: in UTF-8 bytes, not in characters. */
export function lineOfByte(text: string, byte: number, firstLine = 1): number {
  let line = firstLine
  for (const value of Buffer.from(text, 'utf8').subarray(0, byte)) if (value === 0x0a) line += 1
  return line
}

/** The line of the string literal with this value, so that a fault points at the word; else that of the statement. */
export function lineOfLiteral(statement: Statement, value: string): number {
  return statement.strings.find(({ raw }) => raw === value)?.line ?? statement.line
}
