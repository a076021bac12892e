// HTTPS_PROXY with a token in it, as a Lambda function or an agent's sandbox has it: curl and Node's own fetch show the
// gateway a JWT-SVID that the authority minted.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { bareEnvironment, needCurlHttp2, partnerRoots } from './front-door.ts'
import { OTHER_AUDIENCE, startTokenScene, type TokenScene } from './token-scene.ts'

let scene: TokenScene
beforeAll(async () => {
  scene = await startTokenScene()
})
afterAll(() => scene[Symbol.asyncDispose]())

const gatewayRoots = () => path.join(scene.world.directory, 'gateway/bundle.pem')

/** `https_proxy=… curl https://partner…`, where nothing but `more` is about the proxy. */
async function curl(program: string, httpsProxy: string, more: readonly string[] = []): Promise<Ran> {
  const { world, page } = scene
  return run(
    program,
    [
      ...['--silent', '--show-error', '--max-time', '20', '--write-out', ' %{http_connect} %{http_code}'],
      ...['--proxy-cacert', gatewayRoots(), '--cacert', partnerRoots(world), ...more],
      `https://partner.localhost:${page.port}/`,
    ],
    bareEnvironment(world.directory, { https_proxy: httpsProxy }),
  )
}

const identifierOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }).jti

/** The one record that `act` leaves. */
async function recordOf(act: () => Promise<void>): Promise<Record<string, unknown>> {
  const { gateway } = scene
  const before = gateway.events('session').length
  await act()
  await expect.poll(() => gateway.events('session').length, { timeout: 10_000 }).toBe(before + 1)
  return gateway.events('session')[before] ?? {}
}

type Client = (token: string) => Promise<void>

const withPassword: Client = async (token) => {
  const ran = await curl(await needProgram('curl'), `https://token:${token}@${scene.proxy}`)
  expect(ran).toEqual({ code: 0, stdout: 'hello 200 200', stderr: '' })
}

const withBearer: Client = async (token) => {
  const header = ['--proxy-header', `Proxy-Authorization: Bearer ${token}`]
  const ran = await curl(await needProgram('curl'), `https://${scene.proxy}`, header)
  expect(ran).toEqual({ code: 0, stdout: 'hello 200 200', stderr: '' })
}

const overHttp2: Client = async (token) => {
  // curl heeds --proxy-http2 beside --proxy alone, and tells no status of a CONNECT over HTTP/2.
  const proxy = ['--proxy-http2', '--proxy', `https://token:${token}@${scene.proxy}`, '--verbose']
  const ran = await curl(await needCurlHttp2(), '', proxy)
  expect(ran.stdout).toBe('hello 000 200')
  expect(ran.stderr).toContain('CONNECT tunnel: HTTP/2 negotiated')
}

const nodesFetch: Client = async (token) => {
  const { world, page, proxy } = scene
  const roots = await Promise.all([gatewayRoots(), partnerRoots(world)].map((file) => readFile(file, 'utf8')))
  const url = `https://partner.localhost:${page.port}/`
  const program = `process.stdout.write(await (await fetch('${url}')).text())`
  const ran = await run(
    process.execPath,
    ['--input-type=module', '--eval', program],
    bareEnvironment(world.directory, {
      NODE_USE_ENV_PROXY: '1',
      HTTPS_PROXY: `https://token:${token}@${proxy}`,
      NODE_EXTRA_CA_CERTS: await world.file('roots.pem', roots.join('')),
    }),
  )
  expect(ran).toEqual({ code: 0, stdout: 'hello', stderr: '' })
}

describe('a token of the authority', () => {
  test.for<[string, Client]>([
    ['as password in https_proxy of curl', withPassword],
    ['as Bearer of curl', withBearer],
    ['by curl over HTTP/2', overHttp2],
    ["by Node's fetch, which reads HTTPS_PROXY", nodesFetch],
  ])('%s gets through', async ([, client]) => {
    const token = await scene.buy('agent')
    expect(await recordOf(() => client(token))).toMatchObject({
      workload: 'spiffe://example.org/payments/agent',
      credential: 'token',
      tokenId: identifierOf(token),
      serialNumber: null,
      decision: { result: 'allow', policies: ['p'] },
    })
    const { gateway } = scene
    expect(gateway.stdout() + gateway.stderr()).not.toContain(token.split('.')[2])
  })

  test.for<[string, string, () => Promise<string>, string]>([
    ['of a workload that policy does not name gets 403', '403', () => scene.buy('reports'), 'policy-denied'],
    [
      'for another audience gets 407',
      '407',
      () => scene.buy('agent', OTHER_AUDIENCE),
      'client-token-audience',
    ],
    [
      'that was changed gets 407',
      '407',
      async () => (await scene.buy('agent')).replace(/[^.]{8}$/, 'AAAAAAAA'),
      'client-token-untrusted',
    ],
  ])('%s', async ([, status, make, code]) => {
    const accepted = scene.page.accepted()
    const token = await make()
    const record = await recordOf(async () => {
      const ran = await curl(await needProgram('curl'), `https://token:${token}@${scene.proxy}`)
      expect(ran).toMatchObject({ code: 56, stdout: ` ${status} 000` })
    })
    expect(record.outcome).toMatchObject({ code })
    expect(scene.page.accepted()).toBe(accepted)
  })

  test('that is not shown is asked for', async () => {
    const record = await recordOf(async () => {
      const ran = await curl(await needProgram('curl'), `https://${scene.proxy}`, ['--verbose'])
      expect(ran.stdout).toBe(' 407 000')
      expect(ran.stderr).toMatch(/< proxy-authenticate: Bearer realm="sallyport", Basic realm="sallyport"/i)
    })
    expect(record.outcome).toMatchObject({ code: 'client-token-missing' })
  })

  test('is in no record of issuances, its identifier is', async () => {
    const token = await scene.buy('agent')
    const issued = await readFile(path.join(scene.world.directory, 'issuances.jsonl'), 'utf8')
    expect(issued).toContain(identifierOf(token))
    expect(issued).not.toContain(token.split('.')[2])
  })
})
