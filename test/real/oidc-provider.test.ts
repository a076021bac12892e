// A real OpenID provider (panva's oidc-provider) as issuer: client_credentials, JWT access tokens, resource
// indicators. Its token buys an SVID from the authority, and curl takes that SVID through the gateway.
import { writeFile } from 'node:fs/promises'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import { expect, test } from 'vitest'
import { partnerDestination, startPartner, toLoopback } from '../fixtures/partner.ts'
import { freePort, needProgram, run } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'

const CLIENT = { id: 'ci', secret: 's3cret' }

async function startProvider(world: World, port: number, audience: string) {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const issuer = `https://localhost:${port}`
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] },
    ttl: { ClientCredentials: 300 },
    extraTokenClaims: async () => ({ repository: 'acme/app' }),
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'svid',
          audience,
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
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The token, by curl, as a CI job would get it. */
async function fetchToken(world: World, issuer: string, audience: string): Promise<string> {
  const curl = await needProgram('curl')
  const { stdout, stderr } = await run(curl, [
    ...['--silent', '--show-error', '--cacert', `${world.directory}/pki/partner-ca.pem`],
    ...['--user', `${CLIENT.id}:${CLIENT.secret}`],
    ...['--data-urlencode', `resource=${audience}`, '--data', 'grant_type=client_credentials&scope=svid'],
    `${issuer}/token`,
  ])
  expect(stderr).toBe('')
  return (JSON.parse(stdout) as { access_token: string }).access_token
}

export {
  fetchToken,
  startProvider,
  toLoopback,
  writeFile,
  partnerDestination,
  startPartner,
  freePort,
  createWorld,
  startTestGateway,
  expect,
  test,
}
