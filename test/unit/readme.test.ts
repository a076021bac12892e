// What the README shows is what the files under examples/ say, and it is right: the gateway takes it.
import { cp, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { loadGatewayConfig } from '../../gateway/config/load.ts'
import { compilePolicy } from '../../gateway/policy/compile.ts'
import { createWorld } from '../fixtures/world.ts'

const root = path.resolve(import.meta.dirname, '../..')
const read = (name: string) => readFile(path.join(root, name), 'utf8')

test.each(['gateway.yaml', 'policy.cedar'])('the README shows examples/partner/%s as it is', async (name) => {
  expect(await read('README.md')).toContain(`\n${await read(`examples/partner/${name}`)}\`\`\`\n`)
})

test('the gateway takes examples/partner without a fault or warning', async () => {
  await using world = await createWorld()
  await cp(path.join(root, 'examples/partner'), world.directory, { recursive: true })
  const certificate = await world.partnerCa.issue({ cn: 'payments', eku: ['1.3.6.1.5.5.7.3.2'] })
  await world.file('pki/bank-payments.pem', certificate.chainPem)
  await world.file('pki/bank-payments.key', certificate.keyPem)
  const loaded = await loadGatewayConfig(path.join(world.directory, 'gateway.yaml'))
  expect(loaded).toMatchObject({ ok: true, warnings: [] })
  if (!loaded.ok) return
  const compiled = compilePolicy(loaded.config.policyFiles, loaded.policy)
  expect(compiled).toMatchObject({ ok: true, warnings: [] })
})

test('the README begins with the two commands', async () => {
  const [, , , first, second] = (await read('README.md')).split('\n')
  expect(first).toMatch(/^npm start\b/)
  expect(second).toMatch(/^npm test\b/)
})

test('every link of the pages leads to a file that is there', async () => {
  const pages = [
    'README.md',
    'SECURITY.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'docs/limits.md',
    'docs/reload.md',
    'docs/revocations.md',
    'docs/deploy.md',
    'docs/runbooks.md',
    'docs/disaster.md',
    'docs/policy.md',
    'docs/sessions.md',
    'docs/metrics.md',
    'docs/audit.md',
    'docs/authority.md',
    'docs/listeners.md',
    'docs/mesh.md',
  ]
  for (const page of pages) {
    const links = [...(await read(page)).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link ?? '')
    for (const link of links) {
      const target = path.join(path.dirname(page), link)
      await expect(
        readFile(path.join(root, target)).catch((error: NodeJS.ErrnoException) => error.code),
        `${page} links ${link}`,
      ).resolves.not.toBe('ENOENT')
    }
  }
})
