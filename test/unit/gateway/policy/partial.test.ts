// What is said of a policy before all is known is what Cedar says of every question that the facts allow.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HostPattern } from '../../../../gateway/config/types.ts'
import { authorizeOnce } from '../../../../gateway/policy/cedar.ts'
import { compilePolicy } from '../../../../gateway/policy/compile.ts'
import { applies, type Facts, type PrincipalFacts } from '../../../../gateway/policy/partial.ts'
import { ancestors, checkQuestion, toRequest } from '../../../../gateway/policy/question.ts'
import type { Question } from '../../../../gateway/policy/types.ts'
import { anyPolicies, RANDOM_KNOWN, randomQuestion } from './random.ts'

/** Facts that leave room for the question and for others. */
function factsAround({ principal, destination, host, port, context }: Question, wide: number): Facts {
  const bit = (at: number) => (wide & (1 << at)) !== 0
  const exact = (text: string): HostPattern => ({ kind: 'exact', host: text })
  const hosts: HostPattern[] = bit(0) ? [exact(host), exact('a.example')] : [exact(host)]
  if (bit(1)) hosts.push(bit(2) ? { kind: 'any' } : { kind: 'suffix', suffix: 'example' })
  const now = context.now.getTime()
  const names = bit(3) ? [context.listener, 'mesh'] : [context.listener]
  const listeners = names.map((name) => ({ name, admits: principal.kind, trustDomains: null }))
  return {
    principal: who(principal, bit(4) ? (bit(5) ? 'all' : 'path') : 'one'),
    destination: {
      ...destination,
      hosts: bit(6) ? undefined : hosts,
      ports: bit(7) ? [port, 443] : [port],
    },
    listeners: bit(8) ? undefined : listeners,
    now: bit(9) ? { from: now - 1_000, to: Number.POSITIVE_INFINITY } : { from: now, to: now },
  }
}

function who(principal: Question['principal'], known: 'one' | 'path' | 'all'): PrincipalFacts {
  if (principal.kind === 'network') return { kind: 'network', name: known === 'one' ? principal.name : null }
  if (known === 'one') return { kind: 'workload', id: principal.id.uri }
  return { kind: 'workload', under: known === 'all' ? null : (ancestors(principal.id.uri)[0] ?? null) }
}

test('what is said for certain is so', () => {
  let certain = 0
  fc.assert(
    fc.property(anyPolicies, randomQuestion, fc.nat({ max: 1023 }), (text, question, wide) => {
      const compiled = compilePolicy([{ name: 'policy.cedar', text }], RANDOM_KNOWN)
      if (!compiled.ok) throw new Error('faults')
      let address: string
      try {
        address = checkQuestion(question)
      } catch {
        return
      }
      const { principal } = question
      const paths = principal.kind === 'network' ? [] : ancestors(principal.id.uri)
      for (const { json, statement } of compiled.policies) {
        const said = applies(json, factsAround(question, wide))
        if (said === null) continue
        const { diagnostics } = authorizeOnce(statement.text, toRequest(question, address, paths))
        // One that fails denies: decide.ts. Whether it would have applied, nobody can say.
        if (diagnostics.errors.length > 0) continue
        certain += 1
        expect(diagnostics.reason.length > 0, statement.text).toBe(said)
      }
    }),
    { numRuns: 150 },
  )
  expect(certain).toBeGreaterThan(50)
})
