// Index and cache are work left out and never an answer changed: for random policies and questions, in any order, what
// they give is what Cedar says of all policies at once. And time: until `recheckAt` the answer stays.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { compilePolicy, type CompileOptions } from '../../../../gateway/policy/compile.ts'
import type { Decision, Policy, Question } from '../../../../gateway/policy/types.ts'
import {
  anyPolicies,
  entityPolicies,
  questionsOfAll,
  RANDOM_KNOWN,
  randomQuestion,
  reduciblePolicies,
  relatedQuestions,
} from './random.ts'

function compiled(text: string, options: CompileOptions): Policy {
  const result = compilePolicy([{ name: 'policy.cedar', text }], RANDOM_KNOWN, options)
  if (!result.ok) throw new Error(result.faults.map(({ message }) => message).join('\n'))
  return result.policy
}

const plain = (text: string) => compiled(text, { index: false, cache: false })
const withoutCached = (decision: Decision) => ({ ...decision, cached: null, recheckAt: null })

test('the policies that can apply decide as all of them would', () => {
  fc.assert(
    fc.property(anyPolicies, fc.array(randomQuestion, { maxLength: 12 }), (text, questions) => {
      const indexed = compiled(text, { cache: false })
      const all = plain(text)
      for (const question of questions) {
        expect(withoutCached(indexed.decide(question))).toEqual(withoutCached(all.decide(question)))
      }
    }),
    { numRuns: 60 },
  )
})

test.each([
  ['that compare with literals alone', reduciblePolicies, relatedQuestions],
  ['in any form', anyPolicies, relatedQuestions],
  ['that ask for who and where alone, of everybody', entityPolicies, questionsOfAll],
])('an answer that was kept is the answer that would be found, with policies %s', (_, policies, asked) => {
  let hits = 0
  fc.assert(
    fc.property(policies, asked, (text, questions) => {
      const kept = compiled(text, {})
      const all = plain(text)
      for (const question of [...questions, ...questions.toReversed()]) {
        const decision = kept.decide(question)
        if (decision.cached) hits += 1
        expect(withoutCached(decision)).toEqual(withoutCached(all.decide(question)))
      }
    }),
    { numRuns: 40 },
  )
  expect(hits).toBeGreaterThan(50)
})

test('until recheckAt the answer to the same question stays', () => {
  const at = (question: Question, now: Date): Question => ({
    ...question,
    context: { ...question.context, now },
  })
  fc.assert(
    fc.property(reduciblePolicies, randomQuestion, fc.nat({ max: 200_000 }), (text, question, later) => {
      const policy = plain(text)
      const decision = policy.decide(question)
      if (decision.error !== null) return
      const now = question.context.now.getTime()
      const end = decision.recheckAt?.getTime() ?? Number.POSITIVE_INFINITY
      expect(end).toBeGreaterThan(now)
      for (const moment of [now + later, end - 1].filter((one) => one < end && one < 8e15)) {
        expect(policy.decide(at(question, new Date(moment)))).toEqual(decision)
      }
    }),
    { numRuns: 60 },
  )
})
