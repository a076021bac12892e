// redis-cli that speaks plaintext inside the workload's tunnel, and a Redis that takes TLS with a client certificate alone.
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, needProgram, runWithInput, startProgram } from '../fixtures/process.ts'
import { createWorld, type TestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'
import { forwarderOf, serverFiles, startGatewayTo, type Workload, WORKLOADS } from './plain-client.ts'

const stack = new AsyncDisposableStack()
let world: World
let port: number
let gateway: TestGateway

beforeAll(async () => {
  world = stack.use(await createWorld())
  const { certificate, key, ca } = await serverFiles(world)
  port = await freePort()
  const tls = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', ca]
  const settings = {
    ...{ '--port': '0', '--tls-port': String(port), '--bind': '127.0.0.1' },
    ...{ '--tls-auth-clients': 'yes', '--save': '', '--dir': world.directory },
  }
  stack.use(
    await startProgram(await needProgram('redis-server'), [...Object.entries(settings).flat(), ...tls], port),
  )
  gateway = stack.use(await startGatewayTo(world, null, port))
})
afterAll(() => stack.disposeAsync())

async function redis(workload: Workload | '/nobody', commands: string) {
  await using by = await forwarderOf(world, gateway, workload, port)
  const args = ['-h', '127.0.0.1', '-p', String(by.port)]
  const program = await needProgram('redis-cli')
  const ran = await runWithInput(program, args, `${commands}QUIT\n`, bareEnvironment(world.directory))
  return ran
}

async function digestOf(cn: string): Promise<string> {
  const pem = await readFile(path.join(world.directory, `pki/${cn}.pem`))
  return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
}

describe('redis-cli', () => {
  test('of two workloads is known to Redis by two certificates, resumed or not', async () => {
    const asked = ['/payments/api', '/reports/api', '/payments/api', '/reports/api'] as const
    const before = gateway.records().length
    for (const workload of asked) {
      expect(await redis(workload, 'PING\n')).toEqual({ code: 0, stdout: 'PONG\n', stderr: '' })
    }
    const records = (await gateway.closed(before + asked.length)).slice(before)
    for (const [index, workload] of asked.entries()) {
      expect(records[index]?.upstream).toMatchObject({
        nameProof: 'certificate',
        resumed: index > 1,
        clientCertificateSha256: await digestOf(WORKLOADS[workload]),
      })
    }
  })

  test('sets and gets a megabyte', async () => {
    const value = 'x'.repeat(2 ** 20)
    const { stdout } = await redis('/payments/api', `SET big ${value}\nSTRLEN big\nGET big\n`)
    expect(stdout.split('\n').map((line) => line.length)).toEqual([2, 7, 2 ** 20, 0])
  })

  test('of a workload without a certificate is not let in, and the record says by whom', async () => {
    const { stdout } = await redis('/nobody', 'PING\n')
    expect(stdout).not.toContain('PONG')
    // Sought by its workload: the record of the session before may still be on its way.
    const found = () => gateway.records().find(({ workload }) => workload === 'spiffe://example.org/nobody')
    await expect
      .poll(() => found()?.outcome)
      .toMatchObject({
        code: 'upstream-tls-client-certificate-required',
        by: 'upstream',
      })
  })
})
