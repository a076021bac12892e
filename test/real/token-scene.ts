// A gateway that takes tokens, the authority that mints them, and a service behind the gateway: `sallyport authority` and
// `sallyport gateway` as processes of their own, the gateway with the identity and the bundle that it got from the
// authority. Tokens are bought by curl, as a workload in any language may.
import path from 'node:path'
import { goodClaims, startFakeOidcIssuer } from '../fakes/oidc-issuer.ts'
import { needProgram, run } from '../fixtures/process.ts'
import { runSallyport, type Sallyport, startSallyport } from '../fixtures/sallyport.ts'
import { createWorld, type World } from '../fixtures/world.ts'
import { bareEnvironment, opaqueDestination, type Page, startPage } from './front-door.ts'

const AUTHORITY = 'https://identity.example.org'
const GATEWAY = 'spiffe://example.org/sallyport/gateway'
/** An audience that the agent may have tokens for, and that is not the gateway's. */
export const OTHER_AUDIENCE = 'https://api.example.org'

export interface TokenScene extends AsyncDisposable {
  readonly world: World
  /** Answers `hello` as `partner.localhost`. */
  readonly page: Page
  readonly gateway: Sallyport
  /** `localhost:port` */
  readonly proxy: string
  /** A JWT-SVID of the registration `agent` (permitted by policy) or `reports` (not). */
  buy(registration: string, audience?: string): Promise<string>
}

const registration = (name: string, more: string) => `  - name: ${name}
    spiffeId: spiffe://example.org/${more}
    match: {oidc: main, claims: {sub: ${name}}}
`

async function startAuthority(world: World, issuer: string): Promise<Sallyport> {
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
${registration('agent', 'payments/agent')}    jwt: {audiences: ["${GATEWAY}", "${OTHER_AUDIENCE}"]}
${registration('reports', 'reports')}    jwt: {audiences: ["${GATEWAY}"]}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  return startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
    cwd: world.directory,
    env: { SALLYPORT_DEV: '1' },
  })
}

async function startGateway(world: World, page: Page): Promise<Sallyport> {
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
  return startSallyport(['gateway', '--config', config])
}

async function buyToken(world: World, authority: string, proof: string, audience: string): Promise<string> {
  const bought = await run(
    await needProgram('curl'),
    [
      ...['--silent', '--show-error', '--header', `authorization: Bearer ${proof}`],
      ...['--json', JSON.stringify({ audience }), `${authority}/v1/svid/jwt`],
    ],
    bareEnvironment(world.directory),
  )
  const { token } = JSON.parse(bought.stdout) as { token?: string }
  if (token === undefined) throw new Error(`no token: ${bought.stdout} ${bought.stderr}`)
  return token
}

export async function startTokenScene(): Promise<TokenScene> {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const page = stack.use(
    await startPage(world, (_request, response) => response.end('hello'), 'partner.localhost'),
  )
  const issuer = stack.use(await startFakeOidcIssuer())
  const authority = stack.use(await startAuthority(world, issuer.issuer))
  const url = `http://${String((await authority.event('listening')).address)}`
  const proof = (sub: string) => issuer.sign({ ...goodClaims(issuer.issuer, AUTHORITY, new Date()), sub })
  const fetched = await runSallyport([
    ...['identity', 'fetch', '--authority', url, '--trust-domain', 'example.org'],
    ...['--oidc-token-file', await world.file('gateway.jwt', await proof('gateway'))],
    ...['--out', path.join(world.directory, 'gateway')],
  ])
  if (fetched.code !== 0) throw new Error(fetched.stderr)
  const gateway = stack.use(await startGateway(world, page))
  await gateway.event('ready')
  const { address } = gateway.events('listening').find(({ listener }) => listener === 'proxy') ?? {}
  const held = stack.move()
  return {
    ...{ world, page, gateway },
    proxy: `localhost:${String(address).split(':')[1]}`,
    buy: async (name, audience = GATEWAY) => buyToken(world, url, await proof(name), audience),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
