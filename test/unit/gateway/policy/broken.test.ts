// A trap inside the policy engine leaves it unusable: from then on everything is denied, and the policy says so, since
// only a restart helps.
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs'
import { expect, test, vi } from 'vitest'
import { compilePolicy } from '../../../../gateway/policy/compile.ts'
import { KNOWN, policyOf, question } from './known.ts'

const engine = vi.hoisted(() => ({ trap: false }))

vi.mock('@cedar-policy/cedar-wasm/nodejs', async (original) => {
  const cedar = await original<typeof Cedar>()
  return {
    ...cedar,
    statefulIsAuthorized: (call: Parameters<typeof cedar.statefulIsAuthorized>[0]) => {
      if (engine.trap) throw Object.assign(new Error('unreachable'), { name: 'RuntimeError' })
      return cedar.statefulIsAuthorized(call)
    },
  }
})

const ALL = '@id("all") permit(principal is Workload, action, resource) when { principal.path like "*" };'

test('after a trap every decision is a denial, also where the engine would answer again or an answer is kept', () => {
  const policy = policyOf(ALL)
  expect(policy.decide(question()).result).toBe('allow')
  expect(policy.failure()).toBeNull()
  engine.trap = true
  // One that is not kept: the engine is found broken by a question that reaches it.
  expect(policy.decide(question({ workload: 'spiffe://example.org/other' }))).toMatchObject({
    result: 'deny',
    code: 'policy-error',
  })
  engine.trap = false
  expect(policy.decide(question())).toMatchObject({
    result: 'deny',
    code: 'policy-error',
    error: 'the policy engine has failed: unreachable',
  })
  expect(policy.failure()).toBe('unreachable')
  expect(compilePolicy([{ name: 'policy.cedar', text: ALL }], KNOWN)).toMatchObject({
    ok: false,
    faults: [{ remedy: 'restart the process' }],
  })
})
