// `sallyport authority rotate` beside a running authority, as an operator runs it.
import { expect, test } from 'vitest'
import { runSallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld } from '../../fixtures/world.ts'

const CONFIG = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "https://issuer.example"}]}
registrations: [{name: api, spiffeId: spiffe://example.org/api, match: {oidc: main, claims: {sub: api}}}]
`

test('publishes successors, and says what it did and did not do', async () => {
  await using world = await createWorld()
  const config = await world.file('identity.yaml', CONFIG)
  await using authority = startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'])
  const { address } = await authority.event('listening')
  const first = await runSallyport(['authority', 'rotate', '--config', config, '--root', '--jwt', '--json'])
  expect(first.code).toBe(0)
  expect(JSON.parse(first.stdout)).toMatchObject({
    sequence: 2,
    issuingRenewed: true,
    rootActivatesAt: expect.any(String),
    jwtKeyActivatesAt: expect.any(String),
    blocked: [],
  })
  const again = await runSallyport(['authority', 'rotate', '--config', config, '--root'])
  expect(again).toMatchObject({ code: 1, stdout: expect.stringContaining('not done: successor-waits') })
  const bundle = (await (await fetch(`http://${String(address)}/v1/bundle`)).json()) as object
  expect(bundle).toHaveProperty('spiffe_sequence')
})

test('before there is a CA, says how to get one, without a stack trace', async () => {
  await using world = await createWorld()
  const config = await world.file('identity.yaml', CONFIG)
  const { code, stderr } = await runSallyport(['authority', 'rotate', '--config', config])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^sallyport: there is no CA in .*ca yet: [^\n]+\n$/)
})

test('of a CA in Secrets Manager, says by which tag it is asked for there', async () => {
  await using world = await createWorld()
  const aws = `secretsManager: {issuing: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:issuing-AbCdEf"}`
  const config = await world.file(
    'identity.yaml',
    `${CONFIG.replace('files: {directory: ca}', aws.trim())}replay: {dynamodb: {table: replay}}\n`,
  )
  const { code, stderr } = await runSallyport(['authority', 'rotate', '--config', config, '--root'])
  expect(code).toBe(2)
  expect(stderr).toMatch(/tag .*sallyport:rotate.*rotate-secret/)
})

test.each<[string, string[], RegExp]>([
  ['no configuration', ['authority', '--address', '127.0.0.1:0'], /--config is missing/],
  ['no address', ['authority', '--config', 'x.yaml'], /--address is missing/],
  ['no configuration to rotate', ['authority', 'rotate'], /--config/],
])('wrong use: %s', async (_name, args, message) => {
  const { code, stderr } = await runSallyport(args)
  expect(code).toBe(2)
  expect(stderr).toMatch(message)
})
