// Every IAM statement of a template: those of policies, inline ones, trust, key and resource policies, endpoint policies.
import type { Resources } from './support.ts'

export interface Statement {
  readonly where: string
  readonly kind: 'identity' | 'trust' | 'resource'
  readonly effect: string
  readonly actions: readonly string[]
  readonly resources: readonly unknown[]
  readonly principal: unknown
  readonly condition: unknown
}

interface Document {
  readonly Statement: readonly Readonly<Record<string, unknown>>[]
}

const DOCUMENTS: Readonly<Record<string, Statement['kind']>> = {
  PolicyDocument: 'identity',
  AssumeRolePolicyDocument: 'trust',
  KeyPolicy: 'resource',
  Policy: 'resource',
  ResourcePolicy: 'resource',
}

const list = (value: unknown): readonly unknown[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value]

function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && 'Statement' in value
}

/** Policy documents wherever they stand in a resource. */
function* find(value: unknown, name: string): Generator<[string, Document]> {
  if (isDocument(value)) yield [name, value]
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) yield* find(inner, key)
  }
}

export function statementsOf(resources: Resources): readonly Statement[] {
  return Object.entries(resources).flatMap(([id, { Type, Properties }]) =>
    [...find(Properties, '')].flatMap(([name, document]) =>
      document.Statement.map((statement) => ({
        where: `${Type} ${id}`,
        kind:
          Type === 'AWS::EC2::VPCEndpoint' || Type === 'AWS::S3::BucketPolicy'
            ? 'resource'
            : (DOCUMENTS[name] ?? 'identity'),
        effect: String(statement.Effect),
        actions: list(statement.Action).map(String),
        resources: list(statement.Resource),
        principal: statement.Principal,
        condition: statement.Condition,
      })),
    ),
  )
}
