// How the checks of identity.yaml say what they found.
import type { Fault } from '../../common/fault.ts'
import { formatKeyPath, type KeyPath } from '../../common/schema-faults.ts'
import type { IdentityEnvironment } from './environment.ts'

export interface CheckOptions {
  readonly file: string
  readonly environment: IdentityEnvironment
  readonly lineOf: (keys: KeyPath) => number | null
}

export type Report = (keys: KeyPath, message: string, remedy?: string) => void

/** A list of faults, and the function that adds to it. */
export function createReport(options: CheckOptions): { readonly faults: Fault[]; readonly report: Report } {
  const faults: Fault[] = []
  const report: Report = (keys, message, remedy) => {
    const line = options.lineOf(keys)
    faults.push({ file: options.file, line, key: formatKeyPath(keys), message, remedy: remedy ?? null })
  }
  return { faults, report }
}

/** Reports each value that stands more than once. */
export function checkUnique(
  values: readonly string[],
  keyOf: (index: number) => KeyPath,
  report: Report,
): void {
  for (const [index, value] of values.entries()) {
    if (value !== '' && values.indexOf(value) < index) report(keyOf(index), `${value} stands here twice`)
  }
}
