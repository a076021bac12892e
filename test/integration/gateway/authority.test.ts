// The gateway's own identity from the authority, the whole way: over sockets, with real handshakes.
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type tls from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { writePem } from '../../../spiffe/bundle.ts'
import { createScene, GATEWAY_NAME } from './authority-scene.ts'

const SECOND = 1000
const FILES = '  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}'
const PATIENCE = { timeout: 15_000 }

let stack = new AsyncDisposableStack()
afterEach(async () => {
  await stack.disposeAsync()
  stack = new AsyncDisposableStack()
})

const serialOf = (socket: tls.TLSSocket) => socket.getPeerCertificate().serialNumber

describe('a gateway with identity.authority', () => {
  test('is not ready while the authority is down, and lets workloads in when it has its identity', async () => {
    const scene = await createScene(stack, { ttl: '24h', behindMs: 20 * SECOND })
    scene.door.shut = true
    const gateway = await scene.begin()
    await gateway.told(1, 'authority-unreachable')
    expect(await gateway.ready()).toEqual([503, 'identity'])
    expect(gateway.lines.map((line) => JSON.parse(line).listener)).toEqual(['health'])
    expect(JSON.parse(gateway.logged.at(-1) ?? '')).toMatchObject({
      level: 50,
      code: 'authority-unreachable',
      cause: expect.stringContaining('socket hang up'),
      nextAttempt: expect.stringMatching(/^20/),
    })
    scene.pass(5 * SECOND)
    await gateway.told(2, 'authority-unreachable')
    expect(await gateway.ready()).toEqual([503, 'identity'])
    scene.door.shut = false
    scene.pass(10 * SECOND)
    await gateway.started
    expect(await gateway.ready()).toEqual([200, null])
    const workload = await scene.fetchWorkload('api')
    const { status, socket } = await scene.dial(gateway.portOf('proxy'), workload, workload.bundlePem)
    expect(status).toBe(200)
    const shown = new X509Certificate(socket.getPeerCertificate().raw)
    expect(shown.subjectAltName?.split(', ').sort()).toEqual([
      `DNS:${GATEWAY_NAME}`,
      'URI:spiffe://example.org/sallyport/gateway',
    ])
    socket.destroy()
    expect(gateway.lines.join('')).toContain('"workload":"spiffe://example.org/workload/api"')
    const metrics = await gateway.metrics()
    expect(metrics).toContain('sallyport_authority_requests_total{request="svid",result="ok"} 1')
    expect(metrics).toContain(
      'sallyport_authority_requests_total{request="svid",result="authority-unreachable"} 2',
    )
    expect(metrics).toMatch(/^sallyport_identity_renewal_failing_seconds 0$/m)
    const key = gateway.keeper.current()?.keyPair.key.reveal() ?? ''
    expect(key).toContain('PRIVATE KEY')
    expect(gateway.logged.join('') + gateway.lines.join('')).not.toContain(key.split('\n')[1])
  })

  test('renews at half life by a token that is read anew, and drops no session for it', async () => {
    const scene = await createScene(stack, { ttl: '2m', behindMs: 61 * SECOND })
    const gateway = await scene.begin()
    await gateway.started
    const workload = await scene.fetchWorkload('api')
    const dial = () => scene.dial(gateway.portOf('proxy'), workload, workload.bundlePem)
    const before = await dial()
    const echo = async (text: string) => {
      const heard = once(before.socket, 'data')
      before.socket.write(text)
      before.socket.resume()
      return String((await heard)[0])
    }
    expect(await echo('one')).toBe('echo one')
    const key = gateway.keeper.current()?.keyPair.key.reveal()
    const asked = () => scene.door.requests.filter((one) => one.startsWith('POST')).length
    expect(asked()).toBe(1)
    await scene.writeToken()
    scene.pass(60 * SECOND)
    await expect.poll(asked, PATIENCE).toBe(2)
    const serialNow = async () => {
      const { socket } = await dial()
      const serial = serialOf(socket)
      socket.destroy()
      return serial
    }
    await expect.poll(serialNow, PATIENCE).not.toBe(serialOf(before.socket))
    expect(gateway.keeper.current()?.keyPair.key.reveal()).not.toBe(key)
    expect(await echo('two')).toBe('echo two')
  })

  test('lives on without the authority, ready, and says so in log and metrics', async () => {
    const scene = await createScene(stack, { ttl: '24h' })
    const gateway = await scene.begin()
    await gateway.started
    const workload = await scene.fetchWorkload('api')
    await gateway.told(1, 'has issued')
    scene.door.shut = true
    scene.pass(12 * 3600 * SECOND)
    await gateway.told(2, 'authority-unreachable')
    scene.pass(60 * SECOND)
    await gateway.told(4, 'authority-unreachable')
    const warned = () => gateway.logged.map((line) => JSON.parse(line)).filter(({ level }) => level === 40)
    expect(warned()[0]).toMatchObject({
      code: 'authority-unreachable',
      msg: 'the own identity could not be renewed, and is kept',
      notAfter: gateway.keeper.current()?.keyPair.leaf.validToDate.toISOString(),
    })
    expect(await gateway.ready()).toEqual([200, null])
    const { status, socket } = await scene.dial(gateway.portOf('proxy'), workload, workload.bundlePem)
    socket.destroy()
    expect(status).toBe(200)
    const metrics = await gateway.metrics()
    const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1])
    expect(value('sallyport_authority_age_seconds')).toBeGreaterThan(12 * 3600)
    expect(value('sallyport_identity_renewal_failing_seconds')).toBeGreaterThanOrEqual(60)
  })

  test('trusts the roots that the bundle gets, and no more those that it loses; one that goes back is refused', async () => {
    const scene = await createScene(stack, { ttl: '24h' })
    const serve = (sequence: number, more: readonly object[]) => {
      scene.door.bundle = ({ keys, ...json }) => ({
        ...json,
        keys: [...(keys as object[]), ...more],
        spiffe_sequence: sequence,
        spiffe_refresh_hint: 30,
      })
    }
    const next = scene.world.root.certificate
    const root = { kty: 'EC', use: 'x509-svid', x5c: [Buffer.from(next.rawData).toString('base64')] }
    serve(7, [])
    const gateway = await scene.begin()
    await gateway.started
    const workload = await scene.world.svid('/workload/old-world')
    const ca = () => {
      const bundle = gateway.keeper.current()?.bundle
      return bundle === undefined ? '' : writePem(bundle)
    }
    const first = ca()
    const status = async () => {
      const answer = await scene.dial(gateway.portOf('proxy'), workload, first)
      answer.socket.destroy()
      return answer.status
    }
    const refreshed = async (count: number) => {
      scene.pass(31 * SECOND)
      const bundles = () => scene.door.requests.filter((one) => one === 'GET /v1/bundle').length
      await expect.poll(bundles, PATIENCE).toBe(count)
    }
    expect(await status()).toBe(403)
    serve(8, [root])
    await refreshed(2)
    await expect.poll(status, PATIENCE).toBe(200)
    serve(7, [])
    await refreshed(3)
    await expect.poll(() => gateway.logged.join(''), PATIENCE).toContain('"code":"bundle-went-back"')
    expect(await status()).toBe(200)
    expect(await gateway.metrics()).toContain('{request="bundle",result="bundle-went-back"} 1')
    serve(9, [])
    await refreshed(4)
    await expect.poll(status, PATIENCE).toBe(403)
    expect(await gateway.ready()).toEqual([200, null])
  })

  test('goes over to files and back while it runs', async () => {
    const scene = await createScene(stack, { ttl: '24h', identity: FILES })
    const gateway = await scene.begin()
    await gateway.started
    const statusOf = async (svid: Parameters<typeof scene.dial>[1], ca: string) => {
      const { status, socket } = await scene.dial(gateway.portOf('proxy'), svid, ca)
      socket.destroy()
      return status
    }
    const ofFiles = await scene.world.svid('/workload/files')
    const byFiles = () => statusOf(ofFiles, scene.world.root.pem).catch((error: Error) => error.message)
    const issued = await scene.fetchWorkload('api')
    const byAuthority = () => statusOf(issued, issued.bundlePem).catch((error: Error) => error.message)
    expect([await byFiles(), await byAuthority()]).toEqual([200, expect.stringMatching(/self-signed|unable/)])
    scene.door.shut = true
    await scene.configure(scene.byAuthority)
    await gateway.reload()
    await gateway.told(1, 'authority-unreachable')
    // Nothing is lost while the authority has not issued yet.
    expect(await byFiles()).toBe(200)
    scene.door.shut = false
    scene.pass(5 * SECOND)
    await expect.poll(byAuthority, PATIENCE).toBe(200)
    expect(await byFiles()).toMatch(/self-signed|unable/)
    await scene.configure(FILES)
    await gateway.reload()
    await expect.poll(byFiles, PATIENCE).toBe(200)
    expect([gateway.keeper.state(), gateway.keeper.current()]).toEqual([null, null])
  })

  test('a start that is stopped while it waits leaves nothing running', async () => {
    const scene = await createScene(stack, { ttl: '24h' })
    scene.door.shut = true
    const gateway = await scene.begin()
    const health = gateway.portOf('health')
    gateway.stop.abort(new Error('stopped'))
    await expect(gateway.started).rejects.toThrow('stopped')
    await expect(fetch(`http://127.0.0.1:${health}/readyz`)).rejects.toThrow()
  })
})
