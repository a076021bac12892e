// Synthesizes deployments as the CDK would, without a build: each asset is a folder with a file in it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as cdk from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { afterAll } from 'vitest'
import { addDeployment, type Deployment } from '../../../infra/app.ts'
import { type FindAsset, REPOSITORY } from '../../../infra/assets.ts'
import { ENVIRONMENTS } from '../../../infra/environments.ts'
import { readSettings, type SettingsInput } from '../../../infra/settings.ts'

export interface Resource {
  readonly Type: string
  readonly Properties: Record<string, unknown>
  readonly DependsOn?: string | readonly string[]
  readonly DeletionPolicy?: string
}

export type Resources = Readonly<Record<string, Resource>>

export interface Synthesized {
  readonly deployment: Deployment
  /** By the part's name: `network`, `identity`, … */
  readonly templates: ReadonlyMap<string, Template>
  readonly resources: (part: string) => Resources
  /** Of one type, over all stacks. */
  readonly all: (type: string) => readonly Resource[]
  /** Annotations, by construct path. */
  readonly messages: readonly string[]
  /** Of the assembly: templates and assets. */
  readonly directory: string
}

const folders: string[] = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

function temporary(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-synth-'))
  folders.push(folder)
  return folder
}

export const emptyAssets: FindAsset = (name) => {
  const folder = path.join(temporary(), name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, `${name}.js`), 'export const handler = () => {}\n')
  writeFileSync(path.join(folder, 'Dockerfile'), 'FROM scratch\n')
  return folder
}

/** Of cdk.json. */
export function contextOf(): Record<string, unknown> {
  const { context } = JSON.parse(readFileSync(path.join(REPOSITORY, 'cdk.json'), 'utf8')) as {
    context: Record<string, unknown>
  }
  return context
}

export function createApp(): cdk.App {
  // `npm run synth` validates; here it would take most of the time, once for each app.
  return new cdk.App({ context: contextOf(), outdir: temporary(), builtinCloudFormationValidation: false })
}

/** The settings of an environment with parts replaced; `dev` and `prod` are those of the repository. */
export function settingsOf(name: string, changes: Partial<SettingsInput> = {}) {
  return readSettings(name, { ...ENVIRONMENTS[name], ...changes })
}

export function synthesize(
  name: string,
  changes: Partial<SettingsInput> = {},
  findAsset: FindAsset = emptyAssets,
): Synthesized {
  const app = createApp()
  const settings = settingsOf(name, changes)
  return readApp(app, addDeployment(app, settings, findAsset), settings.name)
}

export function readApp(app: cdk.App, deployment: Deployment, prefix: string): Synthesized {
  const assembly = app.synth()
  const stacks = app.node.children.filter((child) => cdk.Stack.isStack(child))
  const templates = new Map(
    // Template.fromStack would synthesize, and validate, the whole app once more for each stack.
    stacks.map((stack) => {
      const template = assembly.getStackByName(stack.stackName).template as Record<string, unknown>
      return [stack.stackName.replace(`${prefix}-`, ''), Template.fromJSON(template)]
    }),
  )
  const resources = (part: string) => (templates.get(part)?.toJSON().Resources ?? {}) as Resources
  const all = (type: string) =>
    [...templates.keys()].flatMap((part) =>
      Object.values(resources(part)).filter(({ Type }) => Type === type),
    )
  const messages = assembly.stacks.flatMap((stack) =>
    stack.messages.map(({ level, id, entry }) => `${level} ${id}: ${JSON.stringify(entry.data)}`),
  )
  return { deployment, templates, resources, all, messages, directory: assembly.directory }
}
