// `sallyport gateway --config appconfig:…`, found by the SDK's own settings, and again without the service.
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { startFakeAppConfig } from '../../fakes/aws/appconfig.ts'
import { runSallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld } from '../../fixtures/world.ts'

const NAME = 'appconfig:sallyport/production/gateway'

async function scene(stack: AsyncDisposableStack) {
  const world = stack.use(await createWorld())
  const aws = stack.use(await startFakeAppConfig())
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-kept-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const pki = path.join(world.directory, 'pki')
  const text = `version: 1
trustDomain: example.org
identity:
  files: {certificate: ${pki}/gateway.pem, key: ${pki}/gateway.key, bundle: ${pki}/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
destinations: []
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
lastKnownGood: {directory: /nonexistent}
`
  const policy = '@id("no") forbid (principal, action, resource);'
  const files = { 'gateway.yaml': text, 'policy.cedar': policy }
  aws.documents.set('sallyport/production/gateway', { text: JSON.stringify({ files }) })
  const env = {
    AWS_ENDPOINT_URL_APPCONFIGDATA: aws.endpoint,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'eu-west-1',
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    SALLYPORT_LAST_KNOWN_GOOD: directory,
  }
  return { aws, env }
}

test('starts from AppConfig, and from what it kept where AppConfig cannot be asked', async () => {
  await using stack = new AsyncDisposableStack()
  const { aws, env } = await scene(stack)
  for (const round of ['from the service', 'from what it kept']) {
    const gateway = stack.use(startSallyport(['gateway', '--config', NAME], { env }))
    await gateway.event('ready')
    expect(gateway.stderr().includes('the last known good one')).toBe(round === 'from what it kept')
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toBe(0)
    aws.failing = 'AccessDeniedException'
  }
})

test('does not start without both, nor by a name that is none', async () => {
  await using stack = new AsyncDisposableStack()
  const { aws, env } = await scene(stack)
  aws.failing = 'AccessDeniedException'
  const { code, stdout, stderr } = await runSallyport(['gateway', '--config', NAME], { env })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/cannot be read: .*AccessDeniedException[^]*no last known good configuration either/)
  expect((await runSallyport(['gateway', '--config', 'appconfig:one/two'], { env })).stderr).toBe(
    'appconfig:one/two: not a profile of AppConfig (appconfig:<application>/<environment>/<profile>)\n',
  )
})
