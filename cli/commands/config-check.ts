// `sallyport config check FILE…`: everything that is wrong with configuration files, before anything runs on them.
import { readFile } from 'node:fs/promises'
import type { Command } from '@commander-js/extra-typings'
import * as z from 'zod'
import { type Fault, formatFault } from '../../common/fault.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { checkIdentityFiles } from '../check/identity-files.ts'
import { type CheckedConfig, checkGatewayConfig } from '../../gateway/config/check.ts'
import { readIdentityConfig } from '../../lambdas/identity/config.ts'
import { EnvironmentError, readIdentityEnvironment } from '../../lambdas/identity/environment.ts'

const HELP = `
Reads each file and all that it refers to (certificates, keys, policy) and says everything that is wrong, one line a
fault: file, line, key, what was found and what was expected. Nothing is started and nothing is sent. A policy is checked
through the gateway.yaml that names it.

Exit status: 0 all files are right, 1 something is wrong, 2 wrong use.

Examples:
  sallyport config check gateway.yaml
  sallyport config check gateway.yaml identity.yaml --json`

/** Adds the command to the program. */
export function registerConfigCheck(program: Command): void {
  program
    .command('config')
    .summary('check configuration files')
    .description('Work with configuration files.')
    .command('check')
    .summary('say what is wrong with configuration files')
    .description('Check gateway.yaml and identity.yaml files.')
    .argument('<file...>', 'gateway.yaml or identity.yaml; told apart by their keys')
    .option('--json', 'print {"ok","faults":[…],"warnings":[…]} instead of text')
    .addHelpText('after', HELP)
    .action(async (files, options) => {
      process.exitCode = await checkFiles(files, options)
    })
}

export interface CheckOptions {
  readonly json?: true | undefined
}

async function checkFiles(files: readonly string[], options: CheckOptions): Promise<0 | 1 | 2> {
  const faults: Fault[] = []
  const warnings: Fault[] = []
  for (const file of files) {
    const result = await checkFile(file)
    if (result === 'wrong-use') return 2
    faults.push(...result.faults)
    warnings.push(...result.warnings)
    if (options.json) continue
    for (const fault of result.faults) process.stderr.write(`${formatFault(fault)}\n`)
    for (const warning of result.warnings) process.stderr.write(`warning: ${formatFault(warning)}\n`)
    if (result.faults.length === 0) process.stdout.write(`${file}: ok\n`)
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ ok: faults.length === 0, faults, warnings })}\n`)
  return faults.length === 0 ? 0 : 1
}

async function checkFile(file: string): Promise<CheckedConfig | 'wrong-use'> {
  const text = await readText(file)
  // The gateway's own reading says why it cannot be read.
  if (text === null) return checkGatewayConfig(file)
  const loaded = loadYamlFile({ file, text }, z.record(z.string(), z.unknown()))
  if (!loaded.ok) return { faults: loaded.faults, warnings: [] }
  const kind = kindOf(Object.keys(loaded.value))
  if (kind === 'gateway') return checkGatewayConfig(file)
  return kind === 'identity' ? checkIdentity(file, text) : { faults: [unknownKind(file)], warnings: [] }
}

async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return null
  }
}

const GATEWAY_KEYS: ReadonlySet<string> = new Set(['destinations', 'listeners', 'policy', 'identity'])
const IDENTITY_KEYS: ReadonlySet<string> = new Set(['registrations', 'proofs', 'issuer', 'authority'])

/** By the keys that only one of them has: one mistyped key does not turn a file into the other kind. */
function kindOf(keys: readonly string[]): 'gateway' | 'identity' | null {
  const gateway = keys.filter((key) => GATEWAY_KEYS.has(key)).length
  const identity = keys.filter((key) => IDENTITY_KEYS.has(key)).length
  if (gateway === identity) return null
  return gateway > identity ? 'gateway' : 'identity'
}

function unknownKind(file: string): Fault {
  return {
    file,
    line: null,
    key: null,
    message: 'neither gateway.yaml nor identity.yaml',
    remedy: 'the first has destinations and listeners, the second registrations and proofs',
  }
}

async function checkIdentity(file: string, text: string): Promise<CheckedConfig | 'wrong-use'> {
  try {
    const result = readIdentityConfig({ file, text, environment: readIdentityEnvironment(process.env) })
    if (!result.ok) return { faults: result.faults, warnings: [] }
    const { value: config, lineOf } = result
    const files = await checkIdentityFiles({ file, text, config, lineOf })
    return { faults: files.faults, warnings: [...result.warnings, ...files.warnings] }
  } catch (error) {
    // The environment is wrong, not the file.
    if (!(error instanceof EnvironmentError)) throw error
    process.stderr.write(`sallyport: ${error.message}\n`)
    return 'wrong-use'
  }
}
