// On Lambda nothing is issued by stores of one instance: used proofs in memory would be taken once by each of them
// (attacks 30, 47), and a record in a file would be gone with its disk (attack 52).
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { callHttpApi } from '../../fakes/http-api.ts'
import { captureOutput } from '../../fixtures/output.ts'
import { createWorld, type World } from '../../fixtures/world.ts'

const config = (stores: string) => `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "https://issuer.example"}]}
registrations: [{name: api, spiffeId: spiffe://example.org/api, match: {oidc: main, claims: {sub: api}}}]
${stores}
`
const REPLAY = 'replay: {dynamodb: {table: replay}}'
const ISSUANCES = 'issuances: {dynamodb: {table: issuances}}'

let world: World
beforeAll(async () => {
  world = await createWorld()
  Object.assign(process.env, { AWS_LAMBDA_FUNCTION_NAME: 'identity', AWS_REGION: 'eu-west-1' })
})
afterAll(async () => {
  delete process.env.AWS_LAMBDA_FUNCTION_NAME
  await world[Symbol.asyncDispose]()
})

async function start(stores: string) {
  process.env.SALLYPORT_IDENTITY_CONFIG = await world.file('identity.yaml', config(stores))
  // A new instance each time: one that could not start says the same for some seconds.
  vi.resetModules()
  const { handler } = await import('../../../lambdas/identity/handler.ts')
  using output = captureOutput()
  const answer = await callHttpApi(handler, { method: 'GET', path: '/v1/bundle' })
  return { answer, output: output.text() }
}

test.each<[string, string, RegExp]>([
  ['attacks 30, 47: used proofs in memory', ISSUANCES, /start\.failed.*replay: memory/],
  [
    'attacks 30, 47: used proofs in memory by name',
    `replay: {store: memory}\n${ISSUANCES}`,
    /replay: memory/,
  ],
  ['attack 52: records in a file', REPLAY, /start\.failed.*issuances in a file/],
  ['neither named', '', /start\.failed/],
])('%s: it does not start', async (_name, stores, reason) => {
  const { answer, output } = await start(stores)
  expect(answer.status).toBe(503)
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'authority-unavailable' })
  expect(output).toMatch(reason)
})

test('it starts with both in DynamoDB', async () => {
  const { answer } = await start(`${REPLAY}\n${ISSUANCES}`)
  expect(answer.status).toBe(200)
})
