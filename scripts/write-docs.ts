// Writes the documentation that is made from code; with --check it writes nothing and exits 1 where a file is stale.
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { deployPage } from './deploy-page.ts'
import { errorsPage } from './errors-page.ts'
import { metricsPage } from './metrics-page.ts'

const root = path.dirname(import.meta.dirname)
const PAGES: readonly { readonly file: string; readonly render: () => string }[] = [
  { file: 'docs/errors.md', render: errorsPage },
  { file: 'docs/metrics.md', render: metricsPage },
  { file: 'docs/deploy.md', render: deployPage },
]

const check = process.argv.includes('--check')
for (const { file, render } of PAGES) {
  const wanted = render()
  const found = await readFile(path.join(root, file), 'utf8').catch(() => null)
  if (found === wanted) continue
  if (check) {
    console.error(`${file} is stale: run npm run docs and commit the result`)
    process.exitCode = 1
  } else {
    await writeFile(path.join(root, file), wanted)
    console.log(`wrote ${file}`)
  }
}
