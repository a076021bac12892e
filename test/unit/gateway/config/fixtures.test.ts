// Every configuration under test/fixtures/config. A bad one says in its own `# expect:` lines what `config check` prints
// about it: all of it, in that order, and nothing else.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { formatFault } from '../../../../common/fault.ts'
import { checkGatewayConfig } from '../../../../gateway/config/check.ts'
import { loadGatewayConfig } from '../../../../gateway/config/load.ts'
import {
  CONFIG_FIXTURES,
  type ConfigDirectory,
  createConfigDirectory,
} from '../../../fixtures/config-directory.ts'

let place: ConfigDirectory

beforeAll(async () => {
  place = await createConfigDirectory()
})
afterAll(() => place[Symbol.asyncDispose]())

const yamlOf = async (part: string) =>
  (await readdir(path.join(CONFIG_FIXTURES, part))).filter((name) => name.endsWith('.yaml'))

/** What is printed, with the test's own directory cut out of it. */
async function check(name: string): Promise<readonly string[]> {
  const { faults, warnings } = await checkGatewayConfig(path.join(place.path, name))
  return [...faults, ...warnings].map((fault) => formatFault(fault).replaceAll(`${place.path}/`, ''))
}

function expectationsIn(text: string): readonly string[] {
  return [...text.matchAll(/^(?:#|\/\/) expect: (.*)$/gm)].map(([, line]) => line ?? '')
}

describe('a bad configuration', async () => {
  test.each(await yamlOf('bad'))(
    '%s: each fault is one line with file, line, key and remedy',
    async (name) => {
      const expected = expectationsIn(await readFile(path.join(CONFIG_FIXTURES, 'bad', name), 'utf8'))
      expect(expected).not.toEqual([])
      expect(await check(name)).toEqual(expected)
    },
  )

  test('that is not there is one fault', async () => {
    expect(await check('nothing.yaml')).toEqual([
      'nothing.yaml: no such file (name a gateway.yaml that can be read)',
    ])
  })
})

describe('a good configuration', async () => {
  test.each(await yamlOf('good'))('%s has neither fault nor warning', async (name) => {
    expect(await check(name)).toEqual([])
  })

  test('holds its defaults when it says least', async () => {
    const loaded = await loadGatewayConfig(path.join(place.path, 'smallest.yaml'))
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
    const [destination] = loaded.config.destinations
    expect(destination).toMatchObject({
      tls: 'originate',
      minVersion: 'TLSv1.2',
      alpn: [],
      clientCertificates: [],
      connect: { timeoutMs: 10_000, attempts: 3, confirmMs: null },
      session: { idleTimeoutMs: 3_600_000, halfCloseTimeoutMs: 600_000, maxDurationMs: null },
    })
    expect(loaded.config.drain).toMatchObject({ delayMs: 15_000, deadlineMs: 100_000 })
    expect(loaded.config.audit).toMatchObject({ onFailure: 'refuse', maxBacklogBytes: 8 * 1024 * 1024 })
  })
})

test('whatever YAML stands there, there is an answer and every fault is one line of this file', async () => {
  const key = fc.constantFrom('version', 'listeners', 'destinations', 'name', 'hosts', 'policy', 'files', 'x')
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, 1, -1, 0.5, '', 'connect', '443', '127.0.0.1:0', true, 'spiffe://x/y'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5 }),
    ),
  }))
  await fc.assert(
    fc.asyncProperty(value, async (document) => {
      await place.write('any.yaml', stringify(document))
      const lines = await check('any.yaml')
      expect(lines).not.toEqual([])
      for (const line of lines) expect(line).toMatch(/^any\.yaml:[^\n]+$/)
    }),
    { numRuns: 150 },
  )
})
