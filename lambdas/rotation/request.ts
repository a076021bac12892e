// A rotation by hand: the event of a rotation cannot say what is wanted, so a tag of the secret does. Its value is what to
// replace (`issuing`, `root`, `jwt`) and, last, a word that no request had before, such as a date: `root jwt 2026-11-24`.
// The word stands in the document that honours it, so that a tag that stays does nothing more.
import { REQUEST_WORD } from '../identity/authority/document.ts'
import type { Wanted } from '../identity/authority/plan.ts'

export const REQUEST_TAG = 'sallyport:rotate'

export interface RotationRequest {
  readonly wanted: Wanted
  readonly word: string
}

const PARTS: readonly string[] = ['issuing', 'root', 'jwt'] satisfies (keyof Wanted)[]

/** Null where the value is no request. */
export function parseRequest(value: string): RotationRequest | null {
  const names = value.trim().split(/\s+/)
  const word = names.pop() ?? ''
  const good = names.length > 0 && names.every((name) => PARTS.includes(name))
  if (!good || PARTS.includes(word) || !REQUEST_WORD.test(word)) return null
  return {
    word,
    wanted: { issuing: names.includes('issuing'), root: names.includes('root'), jwt: names.includes('jwt') },
  }
}
