// What docs/policy.md shows is so: its policies are taken, its commands print what it says, its table is the example.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { runExplain } from '../../../cli/policy/explain.ts'
import { runMatrix } from '../../../cli/policy/matrix.ts'
import { createProgram } from '../../../cli/program.ts'
import { compilePolicy } from '../../../gateway/policy/compile.ts'

const root = path.resolve(import.meta.dirname, '../../..')
const page = await readFile(path.join(root, 'docs/policy.md'), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text]) => text ?? '',
  )

test('its policies have no fault, and the one warning that it tells of', () => {
  const destination = (name: string, tags: readonly string[] = []) => ({ name, tags })
  const compiled = compilePolicy([{ name: 'page', text: blocks('cedar').join('\n') }], {
    destinations: [
      destination('partner-bank', ['pci']),
      destination('anything'),
      destination('legacy-feeds'),
    ],
    networks: ['legacy-batch'],
    trustDomains: ['example.org'],
  })
  expect(compiled).toMatchObject({
    ok: true,
    warnings: [
      { message: expect.stringContaining('policy "office-hours": reads context.now in another form') },
    ],
  })
})

test('its table of cases is examples/partner/policy.test.yaml', async () => {
  expect(blocks('yaml')).toEqual([
    await readFile(path.join(root, 'examples/partner/policy.test.yaml'), 'utf8'),
  ])
})

test('its commands print what it shows', async () => {
  const shown = blocks('').filter((text) => text.startsWith('$ sallyport policy'))
  expect(shown).toHaveLength(2)
  for (const block of shown) {
    const [command = '', ...output] = block.split('\n')
    const words = command.split(' ')
    const option = (name: string) => words[words.indexOf(`--${name}`) + 1] ?? ''
    let printed = ''
    const write = (text: string) => (printed += text)
    const sink = { stdout: { write }, stderr: { write } }
    const shared = { config: path.join(root, option('config')), at: option('at') }
    if (words[3] === 'matrix') await runMatrix(shared, sink)
    else
      await runExplain(
        { ...shared, workload: option('workload'), to: option('to'), listener: option('listener') },
        sink,
      )
    expect(printed.replaceAll(`${root}/`, '')).toBe(output.join('\n'))
  }
})

test('it has a section for each command', () => {
  const policy = createProgram().commands.find((command) => command.name() === 'policy')
  const names = policy?.commands.map((command) => command.name()) ?? []
  expect(names).toEqual(['explain', 'matrix', 'replay', 'test'])
  for (const name of names) expect(page).toContain(`\n## sallyport policy ${name}\n`)
})
