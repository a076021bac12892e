// Refusals of protocols in which the server speaks first: told at once, whatever the client says.
import type { Refusing, RefusalWords } from './types.ts'

/** Again what the contract promises, since a message that ended a line of the protocol could begin another. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[^ -~]+/g, ' ')
    .trim()
    .slice(0, 200)
}

export function refusingAtOnce(words: RefusalWords, tell: (words: RefusalWords) => Buffer): Refusing {
  return { answer: () => ({ reply: tell({ kind: words.kind, text: oneLine(words.text) }), over: true }) }
}
