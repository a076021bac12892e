// HTTPS_PROXY with a token in it, as a Lambda function or an agent's sandbox has it: the JWT-SVID is one that
// `sallyport authority` minted, asked for by curl, and curl shows it to `sallyport gateway` as Basic or Bearer. All are
// processes of their own; the gateway's bundle is the authority's.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { goodClaims, startFakeOidcIssuer } from '../fakes/oidc-issuer.ts'
import { needProgram, type Ran, run } from '../fixtures/process.ts'
import { runSallyport, startSallyport } from '../fixtures/sallyport.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import {
  bareEnvironment,
  needCurlHttp2,
  opaqueDestination,
  type Page,
  partnerRoots,
  startPage,
} from './front-door.ts'

const AUTHORITY = 'https://identity.example.org'
const GATEWAY = 'spiffe://example.org/sallyport/gateway'
const OTHER = 'https://api.example.org'

const stack = new AsyncDisposableStack()
let world: World
let page: Page
let gateway: ReturnType<typeof startSallyport>
let proxy = ''
/** Buys a JWT-SVID as `subject`. */
let buy: (subject: string, audience?: string) => Promise<string>

const registration = (name: string, more: string) => `  - name: ${name}
    spiffeId: spiffe://example.org/${more}
    match: {oidc: main, claims: {sub: ${name}}}
`

async function startAuthority(issuer: string): Promise<string> {
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUTHORITY}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "${issuer}"}]}
registrations:
${registration('gateway', 'sallyport/gateway')}    reserved: true
    x509: {ttl: 1h, dnsNames: [localhost]}
${registration('agent', 'payments/agent')}    jwt: {audiences: ["${GATEWAY}", "${OTHER}"]}
${registration('reports', 'reports')}    jwt: {audiences: ["${GATEWAY}"]}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  const authority = stack.use(
    startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
      cwd: world.directory,
      env: { SALLYPORT_DEV: '1' },
    }),
  )
  return `http://${String((await authority.event('listening')).address)}`
}

async function startGateway(): Promise<ReturnType<typeof startSallyport>> {
  await world.file(
    'policy.cedar',
    '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
  )
  const config = await world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity: {files: {certificate: gateway/certificate.pem, key: gateway/key.pem, bundle: gateway/bundle.json}}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect, clientAuthentication: svid-or-token}
destinations:
${opaqueDestination(page.port, 'partner.localhost')}policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
  const started = stack.use(startSallyport(['gateway', '--config', config]))
  await started.event('ready')
  return started
}

beforeAll(async () => {
  const curl = await needProgram('curl')
  world = stack.use(await createWorld())
  page = stack.use(await startPage(world, (_request, response) => response.end('hello'), 'partner.localhost'))
  const issuer = stack.use(await startFakeOidcIssuer())
  const authority = await startAuthority(issuer.issuer)
  const proof = (sub: string) => issuer.sign({ ...goodClaims(issuer.issuer, AUTHORITY, new Date()), sub })
  const fetched = await runSallyport([
    ...['identity', 'fetch', '--authority', authority, '--trust-domain', 'example.org'],
    ...['--oidc-token-file', await world.file('gateway.jwt', await proof('gateway'))],
    ...['--out', path.join(world.directory, 'gateway')],
  ])
  if (fetched.code !== 0) throw new Error(fetched.stderr)
  buy = async (subject, audience = GATEWAY) => {
    const bought = await run(
      curl,
      [
        ...['--silent', '--show-error', '--header', `authorization: Bearer ${await proof(subject)}`],
        ...['--json', JSON.stringify({ audience }), `${authority}/v1/svid/jwt`],
      ],
      bareEnvironment(world.directory),
    )
    const { token } = JSON.parse(bought.stdout) as { token?: string }
    if (token === undefined) throw new Error(`no token: ${bought.stdout} ${bought.stderr}`)
    return token
  }
  gateway = await startGateway()
  const { address } = gateway.events('listening').find(({ listener }) => listener === 'proxy') ?? {}
  proxy = `localhost:${String(address).split(':')[1]}`
})
afterAll(() => stack.disposeAsync())

/** `https_proxy=… curl https://partner…` and nothing that names the proxy on the command line. */
async function throughProxy(httpsProxy: string, more: readonly string[] = []): Promise<Ran> {
  const http2 = more.includes('--proxy-http2')
  return run(
    http2 ? await needCurlHttp2() : await needProgram('curl'),
    [
      ...['--silent', '--show-error', '--max-time', '20', '--write-out', ' %{http_connect} %{http_code}'],
      ...['--proxy-cacert', path.join(world.directory, 'gateway/bundle.pem')],
      ...['--cacert', partnerRoots(world), ...more, `https://partner.localhost:${page.port}/`],
    ],
    bareEnvironment(world.directory, { https_proxy: httpsProxy }),
  )
}

const identifierOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }).jti

/** The newest closing record, after `before` of them. */
async function recordAfter(before: number): Promise<Record<string, unknown>> {
  await expect.poll(() => gateway.events('session').length, { timeout: 10_000 }).toBe(before + 1)
  return gateway.events('session')[before] ?? {}
}

describe('curl with a token of the authority', () => {
  test.for<[string, (token: string) => readonly [string, readonly string[]]]>([
    ['as password in https_proxy', (token) => [`https://token:${token}@${proxy}`, []]],
    [
      'as Bearer',
      (token) => [`https://${proxy}`, ['--proxy-header', `Proxy-Authorization: Bearer ${token}`]],
    ],
  ])('%s gets through', async ([, form]) => {
    const before = gateway.events('session').length
    const token = await buy('agent')
    expect(await throughProxy(...form(token))).toEqual({ code: 0, stdout: 'hello 200 200', stderr: '' })
    expect(await recordAfter(before)).toMatchObject({
      workload: 'spiffe://example.org/payments/agent',
      credential: 'token',
      tokenId: identifierOf(token),
      serialNumber: null,
      decision: { result: 'allow', policies: ['p'] },
      outcome: { code: 'closed' },
    })
    expect(gateway.stdout() + gateway.stderr()).not.toContain(token.split('.')[2])
  })

  test.for<[string, string, () => Promise<string>, string]>([
    ['of a workload that policy does not name gets 403', '403', () => buy('reports'), 'policy-denied'],
    ['for somebody else gets 407', '407', () => buy('agent', OTHER), 'client-token-audience'],
    [
      'that was changed gets 407',
      '407',
      async () => (await buy('agent')).replace(/[^.]{8}$/, 'AAAAAAAA'),
      'client-token-untrusted',
    ],
  ])('%s', async ([, status, make, code]) => {
    const before = gateway.events('session').length
    const accepted = page.accepted()
    const ran = await throughProxy(`https://token:${await make()}@${proxy}`)
    expect(ran).toMatchObject({ code: 56, stdout: ` ${status} 000` })
    expect((await recordAfter(before)).outcome).toMatchObject({ code })
    expect(page.accepted()).toBe(accepted)
  })

  test('that is not shown is asked for', async () => {
    const before = gateway.events('session').length
    const ran = await throughProxy(`https://${proxy}`, ['--verbose'])
    expect(ran.stdout).toBe(' 407 000')
    expect(ran.stderr).toMatch(/< proxy-authenticate: Bearer realm="sallyport", Basic realm="sallyport"/i)
    expect((await recordAfter(before)).outcome).toMatchObject({ code: 'client-token-missing' })
  })
})

test('no token is written anywhere by the authority', async () => {
  const token = await buy('agent')
  const issued = await readFile(path.join(world.directory, 'issuances.jsonl'), 'utf8')
  expect(issued).toContain(identifierOf(token))
  expect(issued).not.toContain(token.split('.')[2])
})
