// Judges a configuration before AppConfig hands it out: by the gateway's own schema, rules and policy compiler, and by
// what the deployment around it gives. Secrets are not read.
import { ConfigurationError, type Fault } from '../../common/fault.ts'
import { checkGatewayConfig } from '../../gateway/config/check.ts'
import { readGatewayNeeds } from '../../gateway/config/needs.ts'
import { createBundleReader, readBundleFiles, ROOT_FILE } from './bundle.ts'
import { type Deployed, findMissing } from './deployed.ts'

export interface Verdict {
  readonly faults: readonly Fault[]
  readonly warnings: readonly Fault[]
}

function needsOf(text: string, deployed: Deployed): readonly Fault[] {
  try {
    return findMissing(readGatewayNeeds(ROOT_FILE, text), deployed, ROOT_FILE)
  } catch (error) {
    // What does not fit the schema is told by the check of the whole.
    if (error instanceof ConfigurationError) return []
    throw error
  }
}

/** @param text the document as AppConfig holds it */
export async function validateBundle(text: string, deployed: Deployed): Promise<Verdict> {
  const bundle = readBundleFiles(text)
  if (!bundle.ok) return { faults: bundle.faults, warnings: [] }
  const checked = await checkGatewayConfig(ROOT_FILE, {
    readFile: createBundleReader(bundle.files),
    // That of this function is not the gateway's.
    environment: {},
  })
  const missing = needsOf(bundle.files.get(ROOT_FILE) ?? '', deployed)
  return { faults: [...checked.faults, ...missing], warnings: checked.warnings }
}
