// `sallyport authority` and `sallyport identity fetch` as processes, with an issuer that misbehaves on demand.
import { X509Certificate } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { goodClaims, type RunningFakeIssuer, startFakeOidcIssuer } from '../../fakes/oidc-issuer.ts'
import { type FakeSts, startFakeSts } from '../../fakes/sts/sts.ts'
import { runSallyport, type Sallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld, type World } from '../../fixtures/world.ts'

const AUDIENCE = 'https://identity.example.org'

async function startAuthority(world: World, issuer: string): Promise<Sallyport> {
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "${issuer}", reuse: sameKey}]}
registrations:
  - {name: workload, spiffeId: "spiffe://example.org/{sub}", match: {oidc: main, claims: {kind: workload}}, x509: {ttl: 1m}}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  return startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
    env: { SALLYPORT_DEV: '1' },
  })
}

async function tokenFile(world: World, issuer: RunningFakeIssuer, claims: object = {}): Promise<string> {
  const good = goodClaims(issuer.issuer, AUDIENCE, new Date())
  return world.file('token.jwt', `${await issuer.sign({ ...good, kind: 'workload', ...claims })}\n`)
}

const fetchArgs = (world: World, authority: string, token: string, ...more: string[]) => [
  ...['identity', 'fetch', '--authority', authority, '--trust-domain', 'example.org'],
  ...['--oidc-token-file', token, '--out', path.join(world.directory, 'out'), ...more],
]

const urlOf = async (authority: Sallyport) => `http://${String((await authority.event('listening')).address)}`

describe('sallyport identity fetch', () => {
  test('writes a key that only its owner can read, a chain and a bundle', async () => {
    await using world = await createWorld()
    await using issuer = await startFakeOidcIssuer()
    await using authority = await startAuthority(world, issuer.issuer)
    const url = await urlOf(authority)
    const { code, stdout } = await runSallyport(
      fetchArgs(world, url, await tokenFile(world, issuer), '--json'),
    )
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      spiffeId: 'spiffe://example.org/workload',
      registration: 'workload',
    })
    const out = path.join(world.directory, 'out')
    const read = (name: string) => readFile(path.join(out, name), 'utf8')
    expect((await stat(path.join(out, 'key.pem'))).mode & 0o777).toBe(0o600)
    const leaf = new X509Certificate(await read('certificate.pem'))
    expect(leaf.subjectAltName).toBe('URI:spiffe://example.org/workload')
    expect(await read('bundle.pem')).toContain('BEGIN CERTIFICATE')
    expect(JSON.parse(await read('bundle.json'))).toHaveProperty('keys')
    expect((await readdir(out)).sort()).toEqual([
      expect.stringMatching(/^\.\.\d{4}_/),
      ...['..data', 'bundle.json', 'bundle.pem', 'certificate.pem', 'key.pem'],
    ])
    authority.signal('SIGTERM')
    expect(await authority.exited).toBe(0)
  })

  test('with --watch it renews at half life with a new key, and ends with 0 on SIGTERM', async () => {
    await using world = await createWorld()
    await using issuer = await startFakeOidcIssuer()
    await using authority = await startAuthority(world, issuer.issuer)
    const token = await tokenFile(world, issuer, { jti: 'first' })
    await using watch = startSallyport(fetchArgs(world, await urlOf(authority), token, '--watch'))
    const lines = () => watch.stdout().trim().split('\n')
    await expect.poll(lines, { timeout: 10_000 }).toContainEqual(expect.stringContaining('serial'))
    // The token is read anew each time: a platform replaces the file.
    await tokenFile(world, issuer, { jti: 'second' })
    const keyFile = path.join(world.directory, 'out', 'key.pem')
    const key = await readFile(keyFile, 'utf8')
    await expect.poll(() => lines().length, { timeout: 60_000, interval: 500 }).toBe(2)
    expect(await readFile(keyFile, 'utf8')).not.toBe(key)
    watch.signal('SIGTERM')
    expect(await watch.exited).toBe(0)
  }, 90_000)

  test('a refused proof: exit 1, one line, nothing written', async () => {
    await using world = await createWorld()
    await using issuer = await startFakeOidcIssuer()
    await using authority = await startAuthority(world, issuer.issuer)
    const token = await tokenFile(world, issuer, { aud: 'https://other.example' })
    const { code, stdout, stderr } = await runSallyport(fetchArgs(world, await urlOf(authority), token))
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe('sallyport: proof-refused (401): The proof of identity was refused.\n')
    expect(await readdir(path.join(world.directory, 'out'))).toEqual([])
  })

  test('shows no proof where the identity could not be kept', async () => {
    await using world = await createWorld()
    await using issuer = await startFakeOidcIssuer()
    await using authority = await startAuthority(world, issuer.issuer)
    const args = fetchArgs(world, await urlOf(authority), await tokenFile(world, issuer))
    const out = await world.file('out', 'a file')
    expect(await runSallyport(args)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${out}: EEXIST`),
    })
    await rm(out)
    await mkdir(out)
    await world.file('out/bundle.json', '{')
    expect(await runSallyport(args)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/out\/bundle\.json: .* is not JSON \(restore it, or remove it/),
    })
    // The first showing of the token: with another key before it this would be refused.
    await rm(path.join(out, 'bundle.json'))
    expect(await runSallyport(args)).toMatchObject({ code: 0 })
  })

  test.for<[NodeJS.Signals, number]>([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ])('%s ends it at once while the authority does not answer, with %i', async ([signal, expected]) => {
    await using world = await createWorld()
    await using silent = await startSilentServer()
    const token = await world.file('token.jwt', 'a.b.c')
    await using fetching = startSallyport(fetchArgs(world, silent.url, token, '--watch'))
    await expect.poll(silent.connections, { timeout: 20_000 }).toBe(1)
    fetching.signal(signal)
    expect(await fetching.exited).toBe(expected)
  })

  test.for<[string, readonly string[], number, RegExp]>([
    ['no proof', ['--trust-domain', 'x.org'], 2, /expected one of --oidc-token-file and --aws/],
    ['two proofs', ['--trust-domain', 'x.org', '--aws', '--oidc-token-file', 't'], 2, /expected one of/],
    [
      'a trust domain that is none',
      ['--trust-domain', 'X org', '--oidc-token-file', 't'],
      2,
      /--trust-domain/,
    ],
    [
      'a token file that is not there',
      ['--trust-domain', 'x.org', '--oidc-token-file', 'nothing'],
      1,
      /--oidc-token-file nothing: ENOENT/,
    ],
    [
      'a lifetime of seconds',
      ['--trust-domain', 'x.org', '--oidc-token-file', 't', '--ttl', '5s'],
      2,
      /--ttl: expected a duration of 1m to 24h/,
    ],
    [
      'a lifetime of days',
      ['--trust-domain', 'x.org', '--oidc-token-file', 't', '--ttl', '25h'],
      2,
      /--ttl: expected a duration of 1m to 24h/,
    ],
    [
      'a kind of AWS proof with a token',
      ['--trust-domain', 'x.org', '--oidc-token-file', 't', '--aws-proof', 'sigv4'],
      2,
      /--aws-proof goes with --aws/,
    ],
    [
      'a region with a token',
      ['--trust-domain', 'x.org', '--oidc-token-file', 't', '--aws-region', 'eu-west-1'],
      2,
      /--aws-region goes with --aws/,
    ],
    ['a kind of AWS proof alone', ['--trust-domain', 'x.org', '--aws-proof', 'auto'], 2, /expected one of/],
  ])('wrong use: %s', async ([, args, expected, message]) => {
    await using world = await createWorld()
    const out = path.join(world.directory, 'out')
    const { code, stdout, stderr } = await runSallyport([
      ...['identity', 'fetch', '--authority', 'http://127.0.0.1:9', '--out', out, ...args],
    ])
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})

describe('sallyport authority', () => {
  test('says in its help which proofs it takes and what it issues', async () => {
    const { code, stdout } = await runSallyport(['authority', '--help'])
    expect(code).toBe(0)
    for (const word of ['AWS IAM role', 'GetCallerIdentity', 'OIDC', 'X.509-SVIDs', 'JWT-SVIDs']) {
      expect(stdout).toContain(word)
    }
  })

  test('a wrong configuration: exit 1 and a line for each fault', async () => {
    await using world = await createWorld()
    const file = await world.file('identity.yaml', 'version: 1\ntrustDomain: example.org\nregistration: []\n')
    const { code, stdout, stderr } = await runSallyport([
      'authority',
      ...['--config', file, '--address', '127.0.0.1:0'],
    ])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^sallyport: .*identity\.yaml:3: registration: /m)
  })

  test.for<[string, string, RegExp]>([
    ['an address that is none', 'localhost', /expected/],
    ['every interface without TLS', '0.0.0.0:0', /tls/i],
  ])('%s', async ([, address, message]) => {
    await using world = await createWorld()
    await using issuer = await startFakeOidcIssuer()
    await writeFile(path.join(world.directory, 'x'), '')
    const file = await world.file(
      'identity.yaml',
      `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer.replace('http', 'https')}"}]}
registrations: [{name: w, spiffeId: spiffe://example.org/w, match: {oidc: main, claims: {a: b}}}]
issuances: {store: "file:issuances.jsonl"}
`,
    )
    const { code, stdout, stderr } = await runSallyport(['authority', '--config', file, '--address', address])
    expect(code).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toMatch(message)
  })
})

/** Takes connections and says nothing. */
async function startSilentServer() {
  const sockets: net.Socket[] = []
  const server = net.createServer((socket) => sockets.push(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    connections: () => sockets.length,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function startAwsAuthority(world: World, sts: FakeSts): Promise<Sallyport> {
  const config = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs:
  aws:
    webIdentity: true
    sigv4: {regions: [eu-west-1], stsEndpoint: "${sts.endpoint}"}
    accounts: {"111122223333": {issuer: "${sts.issuer.issuer}"}}
    principalTags: [team]
registrations:
  - {name: token, spiffeId: "spiffe://example.org/{principalTag.team}/{role}", match: {aws: {role: "arn:aws:iam::111122223333:role/team/api"}, keyBound: true}}
  - {name: signed, spiffeId: "spiffe://example.org/signed/{role}", match: {aws: {role: "arn:aws:iam::111122223333:role/api"}}}
`,
  )
  return startSallyport(['authority', '--config', config, '--address', '127.0.0.1:0'], {
    env: { SALLYPORT_DEV: '1' },
  })
}

describe('sallyport identity fetch --aws', () => {
  test('shows a web identity token that is bound to its key, and a signature where there is none', async () => {
    await using world = await createWorld()
    await using sts = await startFakeSts()
    await using authority = await startAwsAuthority(world, sts)
    const role = sts.addRole({ role: 'api', path: '/team/', tags: { team: 'payments' } })
    const env = {
      AWS_ACCESS_KEY_ID: role.accessKeyId,
      AWS_SECRET_ACCESS_KEY: role.secretAccessKey,
      AWS_SESSION_TOKEN: role.sessionToken,
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_STS: sts.endpoint,
    }
    const args = [
      ...['identity', 'fetch', '--authority', await urlOf(authority), '--trust-domain', 'example.org'],
      ...['--aws', '--audience', AUDIENCE, '--out', path.join(world.directory, 'out'), '--json'],
    ]
    const byToken = await runSallyport(args, { env })
    expect(byToken).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(byToken.stdout)).toMatchObject({
      spiffeId: 'spiffe://example.org/payments/api',
      registration: 'token',
    })
    sts.outboundFederation = false
    const bySignature = await runSallyport(args, { env })
    expect(bySignature).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('GetCallerIdentity is signed instead'),
    })
    expect(JSON.parse(bySignature.stdout)).toMatchObject({ spiffeId: 'spiffe://example.org/signed/api' })
    const tokenOnly = await runSallyport([...args, '--aws-proof', 'web-identity'], { env })
    expect(tokenOnly).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('OutboundWebIdentityFederationDisabled'),
    })
    for (const { stderr, stdout } of [byToken, bySignature, tokenOnly]) {
      expect(stdout + stderr).not.toContain(role.secretAccessKey)
      expect(stdout + stderr).not.toContain(role.sessionToken)
    }
    expect(authority.stderr()).not.toContain(role.sessionToken)
  })

  test('signs where the authority takes no token of the account, and says so', async () => {
    await using world = await createWorld()
    await using sts = await startFakeSts()
    await using authority = await startAwsAuthority(world, sts)
    const role = sts.addRole({ role: 'api' })
    const env = {
      AWS_ACCESS_KEY_ID: role.accessKeyId,
      AWS_SECRET_ACCESS_KEY: role.secretAccessKey,
      AWS_SESSION_TOKEN: role.sessionToken,
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_STS: sts.endpoint,
    }
    // A token that the authority cannot verify: it does not get the issuer's keys.
    sts.issuer.misbehave('/.well-known/openid-configuration', { kind: 'status', status: 404 })
    const args = [
      ...['identity', 'fetch', '--authority', await urlOf(authority), '--trust-domain', 'example.org'],
      ...['--aws', '--audience', AUDIENCE, '--out', path.join(world.directory, 'out'), '--json'],
    ]
    const refused = await runSallyport([...args, '--aws-proof', 'web-identity'], { env })
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('proof-refused (401)') })
    const fetched = await runSallyport(args, { env })
    expect(fetched).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(
        /^sallyport: the web identity token was refused \(proof-refused \(401\).*\): GetCallerIdentity is signed instead\n$/,
      ),
    })
    expect(JSON.parse(fetched.stdout)).toMatchObject({ registration: 'signed' })
  })

  test('says what is missing', async () => {
    const args = [
      'identity',
      'fetch',
      '--authority',
      'http://127.0.0.1:9',
      '--trust-domain',
      'example.org',
      '--out',
      'x',
    ]
    expect(await runSallyport(args)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('expected one of --oidc-token-file and --aws'),
    })
    expect(await runSallyport([...args, '--aws', '--aws-proof', 'x'])).toMatchObject({ code: 2 })
  })
})
