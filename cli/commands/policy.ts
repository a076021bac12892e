// `sallyport policy …`: what policy says, and what another one would. Each command is a file beside this one.
import type { Command } from '@commander-js/extra-typings'
import { registerPolicyExplain } from './policy-explain.ts'
import { registerPolicyMatrix } from './policy-matrix.ts'
import { registerPolicyReplay } from './policy-replay.ts'
import { registerPolicyTest } from './policy-test.ts'

/** Adds the commands to the program. */
export function registerPolicy(program: Command): void {
  const policy = program
    .command('policy')
    .summary('ask, test and compare policies')
    .description('Ask, test and compare policies. No certificate, no key and no gateway is needed.')
  registerPolicyExplain(policy)
  registerPolicyMatrix(policy)
  registerPolicyReplay(policy)
  registerPolicyTest(policy)
}
