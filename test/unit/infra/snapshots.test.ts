// The templates of prod as they are, and its IAM statements one a line: what changes in them is seen in a review. Assets are
// masked, since each build has others. `npm test -- test/unit/infra/snapshots.test.ts -u` writes them anew.
import path from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { statementsOf } from './iam.ts'
import { synthesize } from './support.ts'

const TOPIC = 'arn:aws:sns:eu-west-1:111122223333:on-call'
const prod = synthesize('prod', { observability: { archiveDays: 400, alarmTopicArn: TOPIC } })
const PARTS = ['network', 'identity', 'configuration', 'gateway', 'observability']

/** Hashes of assets, and ids that CDK makes of them. */
function mask(text: string): string {
  return text
    .replaceAll(/(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}/g, '$1(asset)')
    .replaceAll(/(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])/g, '(asset)')
}

const fileOf = (name: string) => path.join(import.meta.dirname, 'snapshots', name)

test.each(PARTS)('the template of %s', async (part) => {
  const text = stringify(prod.templates.get(part)?.toJSON(), { lineWidth: 0, aliasDuplicateObjects: false })
  await expect(mask(text)).toMatchFileSnapshot(fileOf(`${part}.yaml`))
})

/** References by what they name, without the hashes of logical ids. */
function name(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll(/\{"Fn::ImportValue":"[\w-]+:ExportsOutput(?:Ref|FnGetAtt)(\w+?)[0-9A-F]{8}\w*"\}/g, '<$1>')
    .replaceAll(/\{"Fn::GetAtt":\["(\w+?)[0-9A-F]{8}","(\w+)"\]\}/g, '<$1.$2>')
    .replaceAll(/\{"Ref":"(\w+?)[0-9A-F]{8}"\}/g, '<$1>')
    .replaceAll(/\{"Ref":"(AWS::\w+)"\}/g, '<$1>')
}

test('every IAM statement', async () => {
  const lines = PARTS.flatMap((part) =>
    statementsOf(prod.resources(part)).map(
      ({ where, kind, effect, actions, resources, principal, condition }) => {
        const who = principal === undefined ? '' : ` by ${name(principal)}`
        const when = condition === undefined ? '' : ` if ${name(condition)}`
        const on = resources.length === 0 ? '' : ` on ${name(resources)}`
        const place = where.replaceAll(/[0-9A-F]{8}$/g, '')
        return `${part} ${kind} ${place}: ${effect} ${actions.join(', ')}${on}${who}${when}`
      },
    ),
  )
  await expect(mask(`${lines.join('\n')}\n`)).toMatchFileSnapshot(fileOf('iam.txt'))
})
