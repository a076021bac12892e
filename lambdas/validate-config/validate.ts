// Judges a configuration before AppConfig hands it out: by the gateway's own schema, rules and policy compiler, and by
// what the deployment around it gives. Secrets are not read.
import path from 'node:path'
import { ConfigurationError, type Fault } from '../../common/fault.ts'
import { AUTHORITY_URL } from '../../gateway/config/authority.ts'
import { type BundleFiles, ENTRY, parseBundle, readFromBundle } from '../../gateway/config/bundle.ts'
import { checkGatewayConfig } from '../../gateway/config/check.ts'
import { FileError, type ReadFile } from '../../gateway/config/files.ts'
import { readGatewayNeeds } from '../../gateway/config/needs.ts'
import { type Deployed, findMissing } from './deployed.ts'

/**
 * What the deployment always gives, so that the file need not: some value of the right form, since the one of this function's
 * own environment is not the gateway's.
 */
const GIVEN = { [AUTHORITY_URL]: 'https://authority.invalid' }

export interface Verdict {
  readonly faults: readonly Fault[]
  readonly warnings: readonly Fault[]
}

function needsOf(text: string, deployed: Deployed): readonly Fault[] {
  try {
    return findMissing(readGatewayNeeds(ENTRY, text), deployed, ENTRY)
  } catch (error) {
    // What does not fit the schema is told by the check of the whole.
    if (error instanceof ConfigurationError) return []
    throw error
  }
}

/** The gateway's task has no files but the image's, and the disk of this function is not that one. */
function readWithoutDisk(files: BundleFiles): ReadFile {
  const read = readFromBundle(files)
  return async (file) => {
    if (path.isAbsolute(file))
      throw new FileError('missing', 'a deployed gateway has no file but the bundle’s')
    return read(file)
  }
}

/** @param content the document as AppConfig holds it */
export async function validateBundle(content: Uint8Array, deployed: Deployed): Promise<Verdict> {
  const bundle = parseBundle('bundle', content)
  if (!bundle.ok) return { faults: bundle.faults, warnings: [] }
  const checked = await checkGatewayConfig(ENTRY, {
    readFile: readWithoutDisk(bundle.files),
    environment: GIVEN,
  })
  const missing = needsOf(bundle.files[ENTRY] ?? '', deployed)
  return { faults: [...checked.faults, ...missing], warnings: checked.warnings }
}
