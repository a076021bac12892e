// A real OpenID provider (panva's oidc-provider) as issuer: client_credentials, JWT access tokens, resource indicators.
// Its tokens buy SVIDs from `sallyport authority` by `sallyport identity fetch`, for the gateway and for a workload,
// and curl takes the workload's through `sallyport gateway`. All are processes of their own.
import { readFile } from 'node:fs/promises'
import https from 'node:https'
import path from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import { describe, expect, test } from 'vitest'
import { partnerDestination, startPartner } from '../fixtures/partner.ts'
import { freePort, needProgram, run } from '../fixtures/process.ts'
import { runSallyport, startSallyport } from '../fixtures/sallyport.ts'
import { createWorld, type World } from '../fixtures/world.ts'

const AUDIENCE = 'https://identity.example.org'
const SECRET = 's3cret'

function client(id: string) {
  return {
    client_id: id,
    client_secret: SECRET,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: 'ES256',
  }
}

async function startProvider(world: World, clients: readonly string[]) {
  const port = await freePort()
  const issuer = `https://localhost:${port}`
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] },
    ttl: { ClientCredentials: 300 },
    extraTokenClaims: async () => ({ repository: 'acme/app' }),
    clients: clients.map(client),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: 'svid',
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  })
  const certificate = await world.partnerCa.issue({ cn: 'localhost', dns: ['localhost'] })
  const server = https.createServer(
    { cert: certificate.chainPem, key: certificate.keyPem },
    provider.callback(),
  )
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    issuer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const partnerCaOf = (world: World) => path.join(world.directory, 'pki/partner-ca.pem')

/** Writes the token of `id`, got by curl as a CI job would get it, and gives the file. */
async function fetchToken(world: World, issuer: string, id: string, audience: string): Promise<string> {
  const { stdout, stderr } = await run(await needProgram('curl'), [
    ...['--silent', '--show-error', '--cacert', partnerCaOf(world), '--user', `${id}:${SECRET}`],
    ...['--data-urlencode', `resource=${audience}`, '--data', 'grant_type=client_credentials&scope=svid'],
    `${issuer}/token`,
  ])
  expect(stderr).toBe('')
  expect(stdout).toContain('"access_token"')
  const { access_token: token } = JSON.parse(stdout) as { access_token: string }
  return world.file(`${id}.jwt`, token)
}

async function startAuthority(world: World, issuer: string) {
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs:
  oidc:
    - {name: provider, issuer: "${issuer}", maxTokenAge: 10m, reuse: sameKey}
registrations:
  - name: ci
    spiffeId: "spiffe://example.org/ci/{client_id}"
    match: {oidc: provider, claims: {repository: acme/app, client_id: build}}
    x509: {ttl: 15m}
  - name: gateway
    spiffeId: spiffe://example.org/sallyport/gateway
    reserved: true
    match: {oidc: provider, claims: {client_id: gateway}}
    x509: {ttl: 1h, dnsNames: [localhost]}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  return startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
    cwd: world.directory,
    // How an operator trusts an issuer with a CA of its own; issuers on loopback are for development alone.
    env: { NODE_EXTRA_CA_CERTS: partnerCaOf(world), SALLYPORT_DEV: '1' },
  })
}

async function fetchSvid(world: World, authority: string, tokenFile: string, out: string) {
  return runSallyport(
    [
      ...['identity', 'fetch', '--authority', authority, '--trust-domain', 'example.org', '--json'],
      ...['--oidc-token-file', tokenFile, '--out', path.join(world.directory, out)],
    ],
    { cwd: world.directory },
  )
}

async function writeGateway(world: World, partnerPort: number): Promise<string> {
  await world.file(
    'policy.cedar',
    '@id("ci") permit (principal in Path::"spiffe://example.org/ci", action, resource);',
  )
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: gateway/certificate.pem, key: gateway/key.pem, bundle: gateway/bundle.json}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
destinations:
${partnerDestination(partnerPort).replace('partner.test', 'partner.localhost')}
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
`,
  )
}

describe('oidc-provider as issuer', () => {
  test('its tokens buy the identities of gateway and workload, and curl goes out with them', async () => {
    await using world = await createWorld()
    await using provider = await startProvider(world, ['gateway', 'build'])
    await using authority = await startAuthority(world, provider.issuer)
    const url = `http://${String((await authority.event('listening')).address)}`
    for (const [id, out, spiffeId] of [
      ['gateway', 'gateway', 'spiffe://example.org/sallyport/gateway'],
      ['build', 'workload', 'spiffe://example.org/ci/build'],
    ] as const) {
      const token = await fetchToken(world, provider.issuer, id, AUDIENCE)
      const { code, stdout, stderr } = await fetchSvid(world, url, token, out)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(JSON.parse(stdout)).toMatchObject({ spiffeId })
    }

    await using partner = await startPartner(
      world,
      (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'),
      { name: 'partner.localhost' },
    )
    await using gateway = startSallyport(['gateway', '--config', await writeGateway(world, partner.port)])
    await gateway.event('ready')
    const { address } = gateway.events('listening').find(({ listener }) => listener === 'proxy') ?? {}
    const file = (name: string) => path.join(world.directory, 'workload', name)
    const through = await run(await needProgram('curl'), [
      ...[
        '--silent',
        '--show-error',
        '--proxytunnel',
        '--proxy',
        `https://localhost:${String(address).split(':')[1]}`,
      ],
      ...['--proxy-cacert', file('bundle.pem'), '--proxy-cert', file('certificate.pem')],
      ...['--proxy-key', file('key.pem'), `http://partner.localhost:${partner.port}/`],
    ])
    expect(through).toEqual({ code: 0, stdout: 'hello', stderr: '' })
    await expect.poll(() => gateway.events('session')).toHaveLength(1)
    expect(gateway.events('session')[0]).toMatchObject({
      workload: 'spiffe://example.org/ci/build',
      decision: { result: 'allow', policies: ['ci'] },
    })
  })

  test.for<[string, string, { audience?: string; id?: string; spoil?: (token: string) => string }]>([
    ['for another audience', 'audience-mismatch', { audience: 'https://other.example.org' }],
    ['of a client that no registration names', 'registration-none', { id: 'stranger' }],
    ['with another signature', 'signature-invalid', { spoil: (token) => `${token.slice(0, -8)}AAAAAAAA` }],
  ])('a token %s buys nothing', async ([, reason, { audience = AUDIENCE, id = 'build', spoil }]) => {
    await using world = await createWorld()
    await using provider = await startProvider(world, ['build', 'stranger'])
    await using authority = await startAuthority(world, provider.issuer)
    const url = `http://${String((await authority.event('listening')).address)}`
    let token = await fetchToken(world, provider.issuer, id, audience)
    if (spoil !== undefined) token = await world.file('spoilt.jwt', spoil(await readFile(token, 'utf8')))
    const { code, stdout, stderr } = await fetchSvid(world, url, token, 'workload')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^sallyport: /)
    expect(authority.stderr()).toContain(`"code":"${reason}"`)
  })
})
