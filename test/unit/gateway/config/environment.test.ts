// What the environment of a deployment says wins over gateway.yaml, and a wrong value is a fault that names its variable.
import { expect, test } from 'vitest'
import { loadYamlFile } from '../../../../common/yaml-file.ts'
import {
  applyEnvironment,
  CHECKPOINTS,
  METRICS_NAMESPACE,
  REVOCATIONS,
} from '../../../../gateway/config/environment.ts'
import { checkGatewayConfig } from '../../../../gateway/config/check.ts'
import { GATEWAY_SCHEMA } from '../../../../gateway/config/schema.ts'

const YAML = `version: 1
trustDomain: example.org
identity: { files: { certificate: a.pem, key: b.pem, bundle: c.pem } }
listeners: [{ name: proxy, address: "0.0.0.0:8443", protocol: connect }]
destinations: []
policy: { files: [policy.cedar] }
`
const OWN = `${YAML}revocations: { source: "file:revocations.yaml" }
audit: { checkpoints: "file:checkpoints", onFailure: continue }
metrics: { emf: { namespace: Mine, interval: 10s } }
`

function apply(text: string, environment: Readonly<Record<string, string>>) {
  const loaded = loadYamlFile({ file: 'gateway.yaml', text }, GATEWAY_SCHEMA)
  if (!loaded.ok) throw new Error('the fixture does not fit the schema')
  const [faults, overridden]: string[][] = [[], []]
  const document = applyEnvironment(loaded.value, {
    environment,
    report: (_key, message) => void faults?.push(message),
    overridden: (name) => void overridden?.push(name),
  })
  return { document, written: loaded.value, faults, overridden }
}

const ALL = {
  [REVOCATIONS]: 'appconfig:prod-revocations/gateway/revocations',
  [CHECKPOINTS]: 's3://evidence/checkpoints',
  [METRICS_NAMESPACE]: 'Sallyport/prod',
}

test.each([
  ['says nothing of it', YAML, 60_000, 'refuse'],
  ['says something else', OWN, 10_000, 'continue'],
])('where gateway.yaml %s', (_name, text, intervalMs, onFailure) => {
  const { document, faults, overridden } = apply(text, ALL)
  expect(faults).toEqual([])
  expect(overridden).toEqual(Object.keys(ALL))
  expect(document.revocations?.source).toMatchObject({
    application: 'prod-revocations',
    environment: 'gateway',
    profile: 'revocations',
  })
  expect(document.audit).toMatchObject({
    onFailure,
    checkpoints: { kind: 's3', bucket: 'evidence', prefix: 'checkpoints' },
  })
  expect(document.metrics.emf).toEqual({ namespace: 'Sallyport/prod', interval: intervalMs })
})

test('a retention in the file is of the place in the file, not of the one that the deployment gives', () => {
  const text = `${YAML}audit: { checkpoints: "s3://mine/x", checkpointRetentionDays: 30 }\n`
  expect(apply(text, {}).document.audit.checkpointRetentionDays).toBe(30)
  expect(apply(text, ALL).document.audit.checkpointRetentionDays).toBeUndefined()
})

test('what is not set, or is empty, changes nothing', () => {
  const { document, written, overridden } = apply(OWN, { [REVOCATIONS]: '', OTHER: 'x' })
  expect(document).toBe(written)
  expect(overridden).toEqual([])
})

test.each<[string, string, RegExp]>([
  [REVOCATIONS, 'prod-revocations', /^SALLYPORT_REVOCATIONS: expected file:.*, found "prod-revocations"$/],
  [CHECKPOINTS, 's3://Evidence/', /^SALLYPORT_CHECKPOINTS: expected file:<path> or s3:/],
  [METRICS_NAMESPACE, 'AWS/ECS', /^SALLYPORT_METRICS_NAMESPACE: expected a CloudWatch namespace/],
])('%s: %s is a fault', (name, value, message) => {
  const { document, written, faults, overridden } = apply(YAML, { [name]: value })
  expect(faults).toEqual([expect.stringMatching(message)])
  expect(overridden).toEqual([])
  expect(document).toBe(written)
})

test('the gateway does not start with a wrong one', async () => {
  const { faults } = await checkGatewayConfig('gateway.yaml', {
    environment: { [CHECKPOINTS]: 'nowhere' },
    readFile: async () => ({ bytes: Buffer.from(YAML), mode: null }),
  })
  expect(faults.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/^SALLYPORT_CHECKPOINTS: expected/),
  )
})
