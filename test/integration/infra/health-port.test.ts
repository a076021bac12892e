// The balancer's health check as the template has it, against a gateway that runs the configuration which is deployed: the
// same ports, on a loopback address of its own, and the bytes that NLB sends with PROXY protocol v2 on and off.
import { readFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { REPOSITORY } from '../../../infra/assets.ts'
import { header, LOCAL, PROXY, TCP4 } from '../../fixtures/proxy-header.ts'
import { type Sallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { createWorld, type World } from '../../fixtures/world.ts'
import { synthesize } from '../../unit/infra/support.ts'

const HOST = '127.99.2.7'
const [group, ...others] = synthesize('dev').all('AWS::ElasticLoadBalancingV2::TargetGroup')
const check = group?.Properties as {
  readonly HealthCheckProtocol: string
  readonly HealthCheckPath: string
  readonly HealthCheckPort: string
  readonly HealthCheckTimeoutSeconds: number
  readonly Matcher: { readonly HttpCode: string }
  readonly TargetGroupAttributes: readonly { readonly Key: string; readonly Value: string }[]
}
const port = Number(check.HealthCheckPort)

let world: World
let gateway: Sallyport

beforeAll(async () => {
  world = await createWorld()
  const deployed = path.join(REPOSITORY, 'infra/configuration/files')
  const text = readFileSync(path.join(deployed, 'gateway.yaml'), 'utf8')
    .replaceAll('0.0.0.0:', `${HOST}:`)
    .replace(
      /^ {2}authority: .*$/m,
      '  files: { certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem }',
    )
  await world.file('policy.cedar', readFileSync(path.join(deployed, 'policy.cedar'), 'utf8'))
  const file = await world.file('gateway.yaml', text)
  gateway = startSallyport(['gateway', '--config', file])
  await gateway.event('ready')
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})

/** As NLB asks (User Guide, "Health checks for Network Load Balancer target groups"). */
const request = `GET ${check.HealthCheckPath} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n`

/** Sends each piece as a segment of its own. @returns the status of the answer; null where there is none */
async function ask(...pieces: readonly (Buffer | string)[]): Promise<string | null> {
  const socket = net.connect({ port, host: HOST, noDelay: true })
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve))
  await closed
  return /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? null
}

test('the check is HTTP on the port that is configured, with the header on, and any answer but 200 is a failure', () => {
  expect(others).toEqual([])
  expect(check).toMatchObject({ HealthCheckProtocol: 'HTTP', Matcher: { HttpCode: '200' } })
  expect(check.TargetGroupAttributes).toContainEqual({ Key: 'proxy_protocol_v2.enabled', Value: 'true' })
  const listens = gateway.events('listening').find(({ listener }) => listener === 'health')
  expect(listens?.address).toBe(`${HOST}:${port}`)
})

/** Of family UNSPEC, without addresses. */
const bare = (versionAndCommand: number, checksum = false) =>
  header({ versionAndCommand, family: 0, addresses: Buffer.alloc(0), checksum })

test.each<[string, readonly (Buffer | string)[]]>([
  ['without a header, as where PROXY protocol is off', [request]],
  ['LOCAL without addresses, as of its own connections', [bare(LOCAL), request]],
  ['PROXY with family UNSPEC', [bare(PROXY), request]],
  ['PROXY with family UNSPEC and a checksum', [bare(PROXY, true), request]],
  ['PROXY with addresses', [header({ versionAndCommand: PROXY, family: TCP4 }), request]],
  ['header and request in one segment', [Buffer.concat([bare(LOCAL), Buffer.from(request)])]],
])('%s', async (_name, pieces) => {
  expect(await ask(...pieces)).toBe(check.Matcher.HttpCode)
})

test('two headers are one too many, since NLB puts its own before what a client sent', async () => {
  const local = bare(LOCAL)
  expect(await ask(local, local, request)).not.toBe(check.Matcher.HttpCode)
})

test('a task that drains is taken out before it ends', async () => {
  const session = net.connect({ port: 8443, host: HOST })
  session.on('error', () => {})
  gateway.signal('SIGTERM')
  await vi.waitFor(async () => expect(await ask(request)).not.toBe(check.Matcher.HttpCode), {
    timeout: 10_000,
  })
  session.destroy()
})
