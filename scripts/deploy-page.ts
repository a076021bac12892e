// The part of docs/deploy.md that says what a deployment costs: made from the stacks, and put between two marks.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as cdk from 'aws-cdk-lib'
import { addDeployment } from '../infra/app.ts'
import { REPOSITORY } from '../infra/assets.ts'
import type { ResourcesById } from '../infra/cost/rules.ts'
import { costTables, type Prices } from '../infra/cost/table.ts'
import { ENVIRONMENTS } from '../infra/environments.ts'
import { readSettings } from '../infra/settings.ts'

const BEGIN = '<!-- cost: written by npm run docs -->'
const END = '<!-- end of cost -->'
const PRICES = 'infra/prices/2026-11-26-eu-west-1.json'

/** The page with its table as it should be. */
export function deployPage(): string {
  const page = readFileSync(path.join(REPOSITORY, 'docs/deploy.md'), 'utf8')
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (from === -1 || to < from) throw new Error(`docs/deploy.md has not ${BEGIN} and ${END}`)
  return `${page.slice(0, from)}${BEGIN}\n\n${costTable()}\n\n${page.slice(to)}`
}

function costTable(): string {
  const prices = JSON.parse(readFileSync(path.join(REPOSITORY, PRICES), 'utf8')) as Prices
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-cost-'))
  try {
    const environments = Object.keys(ENVIRONMENTS).map((name) => ({ name, stacks: synthesize(name, folder) }))
    return costTables(environments, prices)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Without a build: what functions and image have in them costs nothing. */
function synthesize(name: string, folder: string): readonly ResourcesById[] {
  const { context } = JSON.parse(readFileSync(path.join(REPOSITORY, 'cdk.json'), 'utf8')) as {
    context: Record<string, unknown>
  }
  const outdir = path.join(folder, name)
  const app = new cdk.App({ context, outdir, builtinCloudFormationValidation: false })
  addDeployment(app, readSettings(name, ENVIRONMENTS[name]), (asset) => {
    const at = path.join(folder, `${name}-assets`, asset)
    mkdirSync(at, { recursive: true })
    writeFileSync(path.join(at, `${asset}.js`), 'export const handler = () => {}\n')
    writeFileSync(path.join(at, 'Dockerfile'), 'FROM scratch\n')
    return at
  })
  return app.synth().stacks.map((stack) => (stack.template as { Resources: ResourcesById }).Resources)
}
