// docs/authority.md keeps up with the code, and its example is a configuration without fault or warning.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { readIdentityConfig } from '../../../lambdas/identity/config.ts'
import { PROBLEMS } from '../../../lambdas/identity/problem.ts'
import { IDENTITY_SCHEMA } from '../../../lambdas/identity/config-schema.ts'
import { PROOF_ROUTES, PUBLIC_ROUTES } from '../../../lambdas/identity/app.ts'

const root = path.resolve(import.meta.dirname, '../../..')
const read = (name: string) => readFile(path.join(root, name), 'utf8')
const page = await read('docs/authority.md')

test('the example has no fault and no warning', async () => {
  const file = 'examples/authority/identity.yaml'
  const environment = { dev: false, overrides: {} }
  const result = readIdentityConfig({ file, text: await read(file), environment })
  expect(result).toMatchObject({ ok: true, warnings: [] })
})

test('every problem code stands on the page with its status', () => {
  const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| (\d{3}) /gm)].map(([, code = '', status]) => [
    code,
    Number(status),
  ])
  const expected = Object.entries(PROBLEMS).map(([code, [status]]) => [code, status])
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(expected))
})

test('every route and every key of the configuration stands on the page', () => {
  for (const route of [...PROOF_ROUTES, ...PUBLIC_ROUTES]) expect(page).toContain(route)
  for (const key of Object.keys(IDENTITY_SCHEMA.shape)) {
    if (key !== 'version') expect(page).toMatch(new RegExp(`^\\| \`${key}(?:[.[][^\`]*)?\` `, 'm'))
  }
})
