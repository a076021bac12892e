// Loads from gateway.yaml what policy is about, and nothing else: no certificate and no key is read.
import type { Fault } from '../../common/fault.ts'
import { formatKeyPath } from '../../common/schema-faults.ts'
import { byLine, loadYamlFile } from '../../common/yaml-file.ts'
import { ReferencedFiles, readRegularFile } from './files.ts'
import { type PolicySource, readPolicySource } from './policy-source.ts'
import { type ReadOptions, readSource } from './read.ts'
import { checkRules, type Report } from './rules.ts'
import { GATEWAY_SCHEMA } from './schema.ts'

export type PolicyLoading =
  | { readonly ok: true; readonly source: PolicySource }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Every rule of gateway.yaml holds, but for those about the files that are not read. */
export async function loadPolicySource(
  file: string,
  { readFile = readRegularFile }: Pick<ReadOptions, 'readFile'> = {},
): Promise<PolicyLoading> {
  const found = await readSource(file, readFile)
  if ('faults' in found) return { ok: false, faults: found.faults }
  const loaded = loadYamlFile({ file, text: found.text }, GATEWAY_SCHEMA)
  if (!loaded.ok) return { ok: false, faults: loaded.faults }
  const { value: document, lineOf } = loaded
  const faults: Fault[] = []
  const report: Report = (key, message, remedy = null) => {
    faults.push({ file, line: lineOf(key), key: formatKeyPath(key), message, remedy })
  }
  checkRules(document, { report, lineOf })
  const files = new ReferencedFiles({ file, bytes: found.bytes, readFile, report })
  const source = await readPolicySource(document, { files, report })
  return source === null || faults.length > 0 ? { ok: false, faults: byLine(faults) } : { ok: true, source }
}
