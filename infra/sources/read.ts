// The configuration that is deployed from the repository: gateway.yaml with its policy as one bundle (design §5.5),
// and identity.yaml with the files beside it. Revocations are not of them: the list has a road of its own.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ConfigurationError } from '../../common/fault.ts'
import { type GatewayNeeds, readGatewayNeeds } from '../../gateway/config/needs.ts'
import { REPOSITORY } from '../assets.ts'
import type { Settings } from '../settings.ts'
import { partitionOf } from '../stack.ts'
import { type IdentityNeeds, readIdentityNeeds } from './identity-file.ts'

/**
 * The bundle stands in the stack's template, of which CloudFormation takes 1 MB in all, as a text in JSON: each line end and
 * quote of it grows. AppConfig would take 2 MB.
 */
const MAX_BUNDLE_BYTES = 900_000

export interface Sources {
  readonly gateway: GatewayNeeds
  readonly identity: IdentityNeeds
  /** `{"files": {"gateway.yaml": "…", "policy.cedar": "…"}}`, as the gateway takes it from AppConfig. */
  readonly bundle: string
  /** By path relative to identity.yaml, itself among them. */
  readonly identityFiles: ReadonlyMap<string, string>
}

function fault(file: string, message: string, remedy: string): ConfigurationError {
  return new ConfigurationError([{ file, line: null, key: null, message, remedy }])
}

function createReader(directory: string): (name: string) => string {
  return (name) => {
    const file = path.join(directory, name)
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw fault(path.relative(REPOSITORY, file), `cannot be read: ${reason}`, 'settings name its folder')
    }
  }
}

/** @throws ConfigurationError with file, line and key */
export function readSources({ account, region, configuration }: Settings): Sources {
  const directory = path.resolve(REPOSITORY, configuration.directory)
  const read = createReader(directory)
  const nameOf = (name: string) => path.relative(REPOSITORY, path.join(directory, name))
  const text = read('gateway.yaml')
  const gateway = readGatewayNeeds(nameOf('gateway.yaml'), text)
  const files = Object.fromEntries(['gateway.yaml', ...gateway.policyFiles].map((name) => [name, read(name)]))
  const bundle = JSON.stringify({ files })
  if (Buffer.byteLength(JSON.stringify(bundle)) > MAX_BUNDLE_BYTES) {
    throw fault(
      nameOf('gateway.yaml'),
      `with policy over ${MAX_BUNDLE_BYTES} bytes of a template`,
      'split the deployment',
    )
  }
  const identityText = read('identity.yaml')
  const identity = readIdentityNeeds(nameOf('identity.yaml'), identityText, {
    account,
    partition: partitionOf(region),
  })
  if (identity.trustDomain !== gateway.trustDomain) {
    const message = `trustDomain is ${gateway.trustDomain}, and that of identity.yaml ${identity.trustDomain}`
    throw fault(nameOf('gateway.yaml'), message, 'one deployment is of one trust domain')
  }
  const beside = identity.files.map((name) => [name, read(name)] as const)
  const identityFiles = new Map([['identity.yaml', identityText], ...beside])
  return { gateway, identity, bundle, identityFiles }
}
