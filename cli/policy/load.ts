// What every `sallyport policy` command begins with: the configuration's policy, compiled as the gateway does, without
// its certificates and keys; and where that is not possible, why.
import { type Fault, formatFault } from '../../common/fault.ts'
import { loadPolicySource } from '../../gateway/config/load-policy.ts'
import type { PolicySource } from '../../gateway/config/policy-source.ts'
import { type CompileResult, compilePolicy, type PolicyFile } from '../../gateway/policy/compile.ts'

export interface Output {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

export interface LoadedPolicy extends Extract<CompileResult, { ok: true }> {
  readonly source: PolicySource
}

export type PolicyResult = LoadedPolicy | { readonly ok: false; readonly faults: readonly Fault[] }

/** `candidate` stands in for the policy files that the configuration names. */
export async function loadPolicy(
  config: string,
  candidate: readonly PolicyFile[] | null = null,
): Promise<PolicyResult> {
  const loaded = await loadPolicySource(config)
  if (!loaded.ok) return loaded
  const { source } = loaded
  const compiled = compilePolicy(candidate ?? source.files, source)
  return compiled.ok ? { ...compiled, source } : compiled
}

/** Prints what is wrong with files; the exit code of a "no". */
export function printFaults(faults: readonly Fault[], json: boolean, output: Output): 1 {
  if (json) output.stdout.write(`${JSON.stringify({ ok: false, faults })}\n`)
  else output.stderr.write(faults.map((fault) => `${formatFault(fault)}\n`).join(''))
  return 1
}

export function printUsage(error: Error, output: Output): 2 {
  output.stderr.write(`sallyport: ${error.message}\n`)
  return 2
}
