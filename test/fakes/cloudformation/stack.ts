// One stack as CloudFormation keeps it: resources are made in the order of their dependencies, changed where their
// resolved properties differ from those of the last time, and deleted unless their policy says that they are retained.
import { referencesOf, resolve, type Scope } from './intrinsics.ts'

export interface TemplateResource {
  readonly Type: string
  readonly Properties?: Readonly<Record<string, unknown>>
  readonly DependsOn?: string | readonly string[]
  readonly DeletionPolicy?: string
}

export interface StackTemplate {
  readonly Resources: Readonly<Record<string, TemplateResource>>
  readonly Outputs?: Readonly<
    Record<string, { readonly Value: unknown; readonly Export?: { readonly Name: string } }>
  >
}

export interface Made {
  /** What `Ref` gives. */
  readonly id: string
  readonly attributes?: Readonly<Record<string, string>>
}

/** What is asked of the world for a resource. */
export interface Change {
  readonly logicalId: string
  readonly resource: TemplateResource
  /** Resolved. */
  readonly properties: Readonly<Record<string, unknown>>
  /** Null: it is to be created. */
  readonly before: { readonly made: Made; readonly properties: Readonly<Record<string, unknown>> } | null
}

export interface World {
  apply(change: Change): Promise<Made>
  remove(resource: TemplateResource, made: Made): Promise<void>
}

interface Kept {
  readonly resource: TemplateResource
  readonly properties: Readonly<Record<string, unknown>>
  readonly made: Made
}

export class FakeStack {
  readonly #world: World
  readonly #exports: Map<string, string>
  readonly #kept = new Map<string, Kept>()
  /** Of the last deployment: `create` or `update`, and the logical id. */
  readonly changes: string[] = []

  /** `exports` are those of the region, of all stacks. */
  constructor(world: World, exports: Map<string, string>) {
    this.#world = world
    this.#exports = exports
  }

  /** @throws whatever a resource could not be made for; those before it stay, as without a roll-back */
  async deploy({ Resources, Outputs = {} }: StackTemplate): Promise<Readonly<Record<string, string>>> {
    this.changes.length = 0
    for (const id of order(Resources)) await this.#put(id, Resources[id] as TemplateResource)
    for (const [id, { resource, made }] of [...this.#kept].toReversed()) {
      if (Object.hasOwn(Resources, id)) continue
      await this.#drop(id, resource, made)
    }
    const outputs = Object.entries(Outputs).map(([name, { Value, Export }]) => {
      const value = String(resolve(Value, this.#scope()))
      if (Export !== undefined) this.#exports.set(Export.Name, value)
      return [name, value] as const
    })
    return Object.fromEntries(outputs)
  }

  async destroy(): Promise<void> {
    for (const [id, { resource, made }] of [...this.#kept].toReversed()) await this.#drop(id, resource, made)
  }

  /** What `Ref` gives of the first resource whose logical id begins so. */
  idOf(prefix: string): string {
    const [, kept] = [...this.#kept].find(([id]) => id.startsWith(prefix)) ?? []
    if (kept === undefined) throw new Error(`no resource ${prefix}…`)
    return kept.made.id
  }

  /** Resolved, of the first resource of this type. */
  propertiesOf(type: string): Readonly<Record<string, unknown>> {
    const kept = [...this.#kept.values()].find(({ resource }) => resource.Type === type)
    if (kept === undefined) throw new Error(`no resource of type ${type}`)
    return kept.properties
  }

  async #put(logicalId: string, resource: TemplateResource): Promise<void> {
    const properties = resolve(resource.Properties ?? {}, this.#scope()) as Record<string, unknown>
    const kept = this.#kept.get(logicalId)
    if (kept !== undefined && JSON.stringify(kept.properties) === JSON.stringify(properties)) return
    this.changes.push(`${kept === undefined ? 'create' : 'update'} ${logicalId}`)
    const made = await this.#world.apply({ logicalId, resource, properties, before: kept ?? null })
    this.#kept.set(logicalId, { resource, properties, made })
  }

  async #drop(logicalId: string, resource: TemplateResource, made: Made): Promise<void> {
    this.#kept.delete(logicalId)
    if (resource.DeletionPolicy !== 'Retain') await this.#world.remove(resource, made)
  }

  #scope(): Scope {
    const find = (id: string): Made => {
      const kept = this.#kept.get(id)
      if (kept === undefined) throw new Error(`${id} was not made yet`)
      return kept.made
    }
    return {
      ref: (id) => find(id).id,
      attribute: (id, name) => find(id).attributes?.[name] ?? `${find(id).id}.${name}`,
      import: (name) => {
        const value = this.#exports.get(name)
        if (value === undefined) throw new Error(`no stack exports ${name}`)
        return value
      },
    }
  }
}

/** Whatever a resource refers to or depends on comes before it. @throws Error in a circle */
function order(resources: StackTemplate['Resources']): readonly string[] {
  const done = new Set<string>()
  const under = new Set<string>()
  const visit = (id: string): void => {
    if (done.has(id)) return
    if (under.has(id)) throw new Error(`${id} depends on itself`)
    under.add(id)
    const { Properties, DependsOn = [] } = resources[id] ?? {}
    const before = new Set([...[DependsOn].flat(), ...referencesOf(Properties)])
    for (const other of before) if (Object.hasOwn(resources, other)) visit(other)
    done.add(id)
  }
  for (const id of Object.keys(resources)) visit(id)
  return [...done]
}
