// CloudFormation's functions, as far as our templates use them: each value in its place, or an error that names what is
// not known here. https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

export interface Scope {
  readonly ref: (id: string) => string
  readonly attribute: (id: string, name: string) => string
  readonly import: (name: string) => string
}

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::AccountId': '111122223333',
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-west-1',
  'AWS::URLSuffix': 'amazonaws.com',
}

type Call = (argument: unknown, scope: Scope) => unknown

const CALLS: Readonly<Record<string, Call>> = {
  Ref: (id, scope) => PSEUDO[String(id)] ?? scope.ref(String(id)),
  'Fn::GetAtt': (argument, scope) => {
    const [id, name] = argument as readonly [string, string]
    return scope.attribute(id, name)
  },
  'Fn::ImportValue': (name, scope) => scope.import(String(resolve(name, scope))),
  'Fn::Join': (argument, scope) => {
    const [separator, parts] = argument as readonly [string, unknown]
    return (resolve(parts, scope) as readonly unknown[]).map(String).join(separator)
  },
  'Fn::Select': (argument, scope) => {
    const [index, list] = argument as readonly [string, unknown]
    return (resolve(list, scope) as readonly unknown[])[Number(index)]
  },
  // Of pseudo parameters alone: ours have no other.
  'Fn::Sub': (text) =>
    String(text).replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => {
      const value = PSEUDO[name]
      if (value === undefined) throw new Error(`Fn::Sub of ${name} is not known here`)
      return value
    }),
  'Fn::Split': (argument, scope) => {
    const [separator, text] = argument as readonly [string, unknown]
    return String(resolve(text, scope)).split(separator)
  },
}

/** The value with every function in it called. */
export function resolve(value: unknown, scope: Scope): unknown {
  if (Array.isArray(value)) return value.map((one) => resolve(one, scope))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [[name, argument] = ['', null]] = entries
  const call = entries.length === 1 ? CALLS[name] : undefined
  if (call !== undefined) return call(argument, scope)
  if (name.startsWith('Fn::')) throw new Error(`${name} is not known here`)
  return Object.fromEntries(entries.map(([key, one]) => [key, resolve(one, scope)]))
}

/** Logical ids that a value refers to. */
export function referencesOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(referencesOf)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) => {
    if (key === 'Ref') return PSEUDO[String(one)] === undefined ? [String(one)] : []
    if (key === 'Fn::GetAtt') return [String((one as readonly unknown[])[0])]
    return referencesOf(one)
  })
}
