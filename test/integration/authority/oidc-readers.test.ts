// Others verify our JWT-SVIDs as OIDC tokens: a stock client library finds the keys by discovery and knows nothing of
// SPIFFE or of us.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { allowInsecureRequests, discovery } from 'openid-client'
import { expect, test } from 'vitest'
import { loadIdentityConfig } from '../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../lambdas/identity/environment.ts'
import { startAuthority } from '../../../lambdas/identity/server.ts'
import { goodClaims, startFakeOidcIssuer } from '../../fakes/oidc-issuer.ts'
import { createWorld } from '../../fixtures/world.ts'
import net from 'node:net'

async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('openid-client discovers us and jose verifies what we sign', async () => {
  await using world = await createWorld()
  await using issuer = await startFakeOidcIssuer()
  const address = `127.0.0.1:${await freePort()}`
  const text = `version: 1
trustDomain: example.org
issuer: http://${address}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}"}]}
registrations:
  - {name: api, spiffeId: spiffe://example.org/api, match: {oidc: main, claims: {sub: workload}}, jwt: {audiences: ["https://partner.example"]}}
issuances: {store: "file:issuances.jsonl"}
`
  const file = await world.file('identity.yaml', text)
  const environment = readIdentityEnvironment({ SALLYPORT_DEV: '1' })
  const config = loadIdentityConfig({ file, text, environment })
  await using authority = await startAuthority({ config, address, log: () => undefined })
  const mint = async () => {
    const token = await issuer.sign(goodClaims(issuer.issuer, config.issuer, new Date()))
    const answer = await fetch(`${authority.url}/v1/svid/jwt`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ audience: 'https://partner.example' }),
    })
    return ((await answer.json()) as { token: string }).token
  }
  const found = await discovery(new URL(config.issuer), 'any', undefined, undefined, {
    execute: [allowInsecureRequests],
  })
  const metadata = found.serverMetadata()
  expect(metadata.issuer).toBe(config.issuer)
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri ?? ''))
  const { payload } = await jwtVerify(await mint(), keys, {
    issuer: metadata.issuer,
    audience: 'https://partner.example',
  })
  expect(payload.sub).toBe('spiffe://example.org/api')
  // The bundle of the CA names the same keys for SPIFFE readers, apart from those of certificates.
  const bundle = (await (await fetch(`${authority.url}/v1/bundle`)).json()) as {
    keys: { use: string; kid?: string }[]
  }
  expect(bundle.keys.map(({ use, kid }) => [use, kid === undefined])).toEqual([
    ['x509-svid', true],
    ['jwt-svid', false],
  ])
})
