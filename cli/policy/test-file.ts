// The file that `sallyport policy test` reads: a configuration and a table of cases.
import path from 'node:path'
import * as z from 'zod'
import type { Fault } from '../../common/fault.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import { loadYamlFile } from '../../common/yaml-file.ts'
import { decodeText, FileError, readRegularFile } from '../../gateway/config/files.ts'

const text = z.string().min(1).max(4096)

const testCase = z.strictObject({
  name: text,
  workload: text.optional(),
  network: text.optional(),
  to: text,
  at: text.optional(),
  listener: text.optional(),
  sourceIp: text.optional(),
  serialNumber: z.string().max(128).optional(),
  vpcEndpoint: text.optional(),
  expect: z.enum(['allow', 'deny']),
  policies: z.array(text).max(1024).optional(),
})

const SCHEMA = z.strictObject({
  version: z.literal(1),
  config: text,
  cases: z.array(testCase).min(1).max(100_000),
})

export type TestCase = z.infer<typeof testCase>

export type TestFile =
  | {
      readonly ok: true
      /** As this process finds it. */
      readonly config: string
      readonly cases: readonly TestCase[]
      readonly lineOf: (path: KeyPath) => number | null
    }
  | { readonly ok: false; readonly faults: readonly Fault[] }

export async function readTestFile(file: string): Promise<TestFile> {
  const fail = (message: string): TestFile => ({
    ok: false,
    faults: [{ file, line: null, key: null, message, remedy: 'name a YAML file of cases' }],
  })
  try {
    const content = decodeText((await readRegularFile(file)).bytes)
    if (content === null) return fail('not text in UTF-8')
    const loaded = loadYamlFile({ file, text: content }, SCHEMA)
    if (!loaded.ok) return loaded
    const { config, cases } = loaded.value
    const found = path.isAbsolute(config) ? config : path.join(path.dirname(file), config)
    return { ok: true, config: found, cases, lineOf: loaded.lineOf }
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    return fail(error.message)
  }
}
