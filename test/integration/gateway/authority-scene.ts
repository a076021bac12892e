// A gateway whose own identity comes from a real authority: that authority over sockets, with a door before it that can be
// shut and that can change the bundle on its way, an issuer of OIDC tokens, a partner, and time that a test moves.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { text as readText } from 'node:stream/consumers'
import pino from 'pino'
import { expect } from 'vitest'
import { requestAuthority } from '../../../common/authority/request.ts'
import { formatFault } from '../../../common/fault.ts'
import { Secret } from '../../../common/secret.ts'
import { fetchX509Svid } from '../../../cli/identity/fetch.ts'
import { createReadSecret } from '../../../gateway/config/secrets-manager.ts'
import { type Gateway, startGateway } from '../../../gateway/gateway.ts'
import { IdentityKeeper } from '../../../gateway/identity/keeper.ts'
import { createFileSource } from '../../../gateway/reload/source.ts'
import { loadIdentityConfig } from '../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../lambdas/identity/environment.ts'
import { startAuthority } from '../../../lambdas/identity/server.ts'
import { goodClaims, startFakeOidcIssuer } from '../../fakes/oidc-issuer.ts'
import { connect } from '../../fixtures/connect-client.ts'
import { createKeeperClock } from '../../fixtures/keeper-clock.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { createWorld } from '../../fixtures/world.ts'

export const AUDIENCE = 'https://identity.example.org'
export const GATEWAY_NAME = 'gateway.sallyport.internal'

type Json = Readonly<Record<string, unknown>>

/** Before the authority: passes requests on, unless it is shut. */
async function startDoor(target: () => string) {
  const state = { shut: false, bundle: (json: Json): Json => json, requests: [] as string[] }
  const pass = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const { method = '', url = '' } = request
    state.requests.push(`${method} ${url}`)
    const body = await readText(request)
    const headers = Object.fromEntries(
      ['authorization', 'content-type'].flatMap((name) => {
        const value = request.headers[name]
        return typeof value === 'string' ? [[name, value]] : []
      }),
    )
    const answer = await requestAuthority({
      ...{ url: `${target()}${url}`, method: method as 'GET' | 'POST', headers },
      ...{ body: method === 'POST' ? body : null, ca: null },
    })
    const changed = url === '/v1/bundle' ? JSON.stringify(state.bundle(JSON.parse(answer.body))) : answer.body
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(changed)
  }
  const server = http.createServer((request, response) => {
    if (state.shut) request.socket.destroy()
    else void pass(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    state,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface SceneOptions {
  /** Of the gateway's SVID. */
  readonly ttl: string
  /** How far the clocks of authority and keeper are behind, in milliseconds; TLS itself goes by the real one. */
  readonly behindMs?: number
  /** YAML of `identity`, instead of the authority by token file. */
  readonly identity?: string
}

export async function createScene(stack: AsyncDisposableStack, options: SceneOptions) {
  const world = stack.use(await createWorld())
  const issuer = stack.use(await startFakeOidcIssuer())
  let offset = -(options.behindMs ?? 0)
  const now = () => new Date(Date.now() + offset)
  const door = stack.use(await startDoor(() => authority.url))
  const file = await world.file(
    'identity.yaml',
    `version: 1
trustDomain: example.org
issuer: ${AUDIENCE}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "${issuer.issuer}", reuse: sameKey}]}
registrations:
  - {name: gateway, spiffeId: spiffe://example.org/sallyport/gateway, reserved: true, match: {oidc: main, claims: {kind: gateway}}, x509: {ttl: ${options.ttl}, dnsNames: [${GATEWAY_NAME}]}}
  - {name: workload, spiffeId: "spiffe://example.org/workload/{name}", match: {oidc: main, claims: {kind: workload}}, x509: {ttl: 1h}}
issuances: {store: "file:issuances.jsonl"}
`,
  )
  const text = await readFile(file, 'utf8')
  const environment = readIdentityEnvironment({ SALLYPORT_DEV: '1' })
  const config = loadIdentityConfig({ file, text, environment })
  const authority = stack.use(
    await startAuthority({ config, address: '127.0.0.1:0', log: () => {}, clock: now }),
  )
  const token = (claims: Json) =>
    issuer.sign({ ...goodClaims(issuer.issuer, AUDIENCE, now()), jti: crypto.randomUUID(), ...claims })
  const writeToken = async () => world.file('token.jwt', await token({ kind: 'gateway' }))
  await writeToken()
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
    }),
  )
  const byAuthority = `  authority: {url: "${door.url}", proof: {oidcTokenFile: token.jwt}, audience: "${AUDIENCE}"}`
  const configure = (identity: string) =>
    world.file(
      'gateway.yaml',
      `version: 1
trustDomain: example.org
identity:
${identity}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
destinations:
${partnerDestination(partner.port)}`,
    )
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  const configFile = await configure(options.identity ?? byAuthority)
  const time = createKeeperClock()
  const fetchWorkload = async (name: string) => {
    const shown = new Secret(await token({ kind: 'workload', name }))
    const svid = await fetchX509Svid({
      ...{ authorityUrl: authority.url, trustDomain: 'example.org', audience: AUDIENCE, clock: now },
      proof: { kind: 'token', read: async () => shown },
    })
    return { ...svid, chainPem: svid.certificatePem }
  }
  return {
    ...{ world, door: door.state, time, fetchWorkload, writeToken, configure, byAuthority },
    directory: path.join(world.directory, 'ca'),
    /** So much later for authority and keeper. */
    pass(ms: number) {
      offset += ms
      time.wake()
    },
    begin: () => begin({ configFile, now, time, stack }),
    /** Opens a tunnel to the partner as this workload. */
    dial: (port: number, svid: { chainPem: string; keyPem: string }, ca: string) =>
      connect(world, port, {
        svid: svid as Issued,
        target: `partner.test:${partner.port}`,
        // The name is looked at by the tests: that of the files is another one.
        tls: { ca, servername: GATEWAY_NAME, checkServerIdentity: () => undefined },
      }),
  }
}

interface Begin {
  readonly configFile: string
  readonly now: () => Date
  readonly time: ReturnType<typeof createKeeperClock>
  readonly stack: AsyncDisposableStack
}

/** Starts the gateway as `sallyport gateway` does, and gives what can be seen of it while it waits. */
async function begin({ configFile, now, time, stack }: Begin) {
  const logged: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  const lines: string[] = []
  const stdout = {
    line: (text: string) => void lines.push(text),
    state: () => ({ failure: null, backlogBytes: 0, oldestWaitMs: 0, dropped: 0 }),
    close: async () => {},
  }
  const keeper = new IdentityKeeper({ log, now, random: () => 0.5, sleep: time.sleep, pause: async () => {} })
  const readSecret = createReadSecret()
  const source = createFileSource(configFile, { readSecret, issued: () => keeper.current() })
  const { result } = await source.begin()
  if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))
  const { loaded, policy } = result.accepted
  const stop = new AbortController()
  let gateway: Gateway | null = null
  const started = startGateway({
    ...{ config: loaded.config, policy, log, stdout, keeper, source, stop: stop.signal },
    sources: { ...loaded, readSecret },
    ...{ intervals: { files: 20 }, resolve: toLoopback },
  }).then((one) => {
    gateway = one
    return stack.use(one)
  })
  started.catch(() => {})
  const portOf = (listener: string): number => {
    const line = lines.find((text) => text.startsWith(`{"event":"listening","listener":"${listener}"`))
    return line === undefined ? 0 : Number(/:(\d+)"\}$/.exec(line)?.[1])
  }
  await expect.poll(() => portOf('health'), { timeout: 10_000 }).toBeGreaterThan(0)
  return {
    ...{ keeper, started, stop, lines, logged, portOf },
    ready: async () => {
      const answer = await fetch(`http://127.0.0.1:${portOf('health')}/readyz`)
      return [answer.status, ((await answer.json()) as { reason: string | null }).reason]
    },
    reload: async () => gateway?.reload(),
    /** Waits until so many lines of the log have this text, and there is nothing to do for now. */
    async told(count: number, part: string) {
      const lines = () => logged.filter((line) => line.includes(part)).length
      await expect.poll(lines, { timeout: 15_000 }).toBeGreaterThanOrEqual(count)
      await expect.poll(() => time.waits().length, { timeout: 15_000 }).toBe(1)
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${portOf('admin')}/metrics`)).text(),
  }
}
