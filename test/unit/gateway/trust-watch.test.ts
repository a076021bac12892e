// The files of identity and trust while a gateway runs: what is taken, what is kept, and what is said about it.
import { mkdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { formatFault } from '../../../common/fault.ts'
import { loadGatewayConfig } from '../../../gateway/config/load.ts'
import type { TrustMaterial } from '../../../gateway/config/types.ts'
import { createTrustStore } from '../../../gateway/trust-store.ts'
import { watchTrust } from '../../../gateway/trust-watch.ts'
import { type ConfigDirectory, createConfigDirectory } from '../../fixtures/config-directory.ts'
import { createRoot, type LeafOptions } from '../../fixtures/pki.ts'

let stack: AsyncDisposableStack
let place: ConfigDirectory

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  place = stack.use(await createConfigDirectory())
})
afterEach(() => stack.disposeAsync())

async function start(file = 'everything.yaml', now = () => new Date()) {
  const loaded = await loadGatewayConfig(path.join(place.path, file), { now })
  if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'))
  const { material } = loaded.config
  if (material === null) throw new Error('no identity')
  const trust = createTrustStore(material)
  const taken: TrustMaterial[] = []
  trust.onChange((material) => void taken.push(material))
  const told: string[] = []
  const log = { info: vi.fn(), error: ({ faults }: { faults: string }) => void told.push(faults) }
  const metrics = { reload: vi.fn() }
  const readTrust = vi.fn(loaded.readTrust)
  stack.use(
    watchTrust({ files: loaded.trustFiles, issued: () => '', readTrust, trust, metrics, log, intervalMs: 5 }),
  )
  await expect.poll(() => readTrust.mock.calls.length).toBeGreaterThan(0)
  return {
    ...{ trust, taken, log, metrics, readTrust },
    errors: () => told.map((faults) => faults.replaceAll(`${place.path}/`, '')),
    /** Until it has looked at everything as it is now. */
    async settled() {
      let before = -1
      await expect
        .poll(
          () => {
            const same = readTrust.mock.calls.length === before
            before = readTrust.mock.calls.length
            return same
          },
          { interval: 50 },
        )
        .toBe(true)
    },
  }
}

async function renew(options: LeafOptions = {}) {
  const issued = await place.issuing.issue({ uris: ['spiffe://example.org/sallyport/gateway'], ...options })
  await place.write('pki/gateway.key', issued.keyPem)
  await place.write('pki/gateway.pem', issued.chainPem)
  return issued.certificate.serialNumber
}

const serialOf = ({ identity }: TrustMaterial) => BigInt(`0x${identity.leaf.serialNumber}`)

test('a renewed certificate is taken, once, with the roots that are there', async () => {
  const watch = await start()
  expect(watch.taken).toEqual([])
  const serial = await renew()
  await expect.poll(() => watch.taken.length).toBe(1)
  expect(serialOf(watch.trust.current())).toBe(BigInt(`0x${serial}`))
  expect([...watch.trust.current().bundles.keys()]).toEqual(['example.org', 'cluster.local'])
  await watch.settled()
  expect(watch.taken).toHaveLength(1)
  expect(watch.metrics.reload.mock.calls).toEqual([['trust', 'applied']])
})

test('a touch, or a copy of the same, is no change', async () => {
  const watch = await start()
  const file = path.join(place.path, 'pki/gateway.pem')
  await utimes(file, new Date(), new Date(Date.now() + 5000))
  await writeFile(`${file}.new`, await readFile(file))
  await rename(`${file}.new`, file)
  await expect.poll(() => watch.readTrust.mock.calls.length).toBeGreaterThan(1)
  await watch.settled()
  expect(watch.taken).toEqual([])
  expect(watch.errors()).toEqual([])
})

test('a symlink that is swapped is a change, as Kubernetes mounts secrets', async () => {
  // pki -> data -> version-1, and `data` is replaced at once.
  const root = place.path
  await rename(path.join(root, 'pki'), path.join(root, 'version-1'))
  await symlink('version-1', path.join(root, 'data'))
  await symlink('data', path.join(root, 'pki'))
  const watch = await start()
  await mkdir(path.join(root, 'version-2'))
  for (const name of [
    'bundle.json',
    'istio-root.pem',
    'linkerd-root.pem',
    'istio.pem',
    'istio.key',
    'linkerd.pem',
    'linkerd.key',
  ]) {
    await writeFile(path.join(root, 'version-2', name), await readFile(path.join(root, 'version-1', name)))
  }
  const issued = await place.issuing.issue({ uris: ['spiffe://example.org/sallyport/gateway'] })
  await writeFile(path.join(root, 'version-2/gateway.pem'), issued.chainPem)
  await writeFile(path.join(root, 'version-2/gateway.key'), issued.keyPem)
  await symlink('version-2', path.join(root, 'data-next'))
  await rename(path.join(root, 'data-next'), path.join(root, 'data'))
  await expect.poll(() => watch.taken.length).toBe(1)
  expect(serialOf(watch.trust.current())).toBe(BigInt(`0x${issued.certificate.serialNumber}`))
  expect(watch.errors()).toEqual([])
})

test('what cannot be read is said once, keeps what is there, and is taken when it can', async () => {
  const watch = await start()
  const before = watch.trust.current()
  const good = await readFile(path.join(place.path, 'pki/bundle.json'), 'utf8')
  await place.write('pki/bundle.json', '{')
  await expect.poll(() => watch.errors().length).toBe(1)
  await expect.poll(() => watch.readTrust.mock.calls.length).toBeGreaterThan(5)
  expect(watch.errors()).toHaveLength(1)
  expect(watch.errors()[0]).toMatch(
    /^everything\.yaml:5: identity\.files\.bundle: pki\/bundle\.json: .* \(name PEM roots/,
  )
  // Another fault is another word.
  await rm(path.join(place.path, 'pki/bundle.json'))
  await expect.poll(() => watch.errors().length).toBe(2)
  expect(watch.errors()[1]).toContain('no such file')
  expect(watch.trust.current()).toBe(before)
  // Nothing was changed in the end.
  await place.write('pki/bundle.json', good)
  await expect
    .poll(() => watch.log.info.mock.calls.flat())
    .toContain('certificates and roots can be read again')
  await watch.settled()
  expect(watch.taken).toEqual([])
  const serial = await renew()
  await expect.poll(() => watch.taken.length).toBe(1)
  expect(serialOf(watch.trust.current())).toBe(BigInt(`0x${serial}`))
})

test('a certificate without its key is half a change, and not taken', async () => {
  const watch = await start()
  const before = watch.trust.current()
  const { chainPem, keyPem } = await place.issuing.issue({ uris: ['spiffe://example.org/sallyport/gateway'] })
  await place.write('pki/gateway.pem', chainPem)
  await expect.poll(() => watch.errors().join()).toContain('does not belong to the certificate')
  expect(watch.trust.current()).toBe(before)
  await place.write('pki/gateway.key', keyPem)
  await expect.poll(() => watch.taken.length).toBe(1)
})

test('an identity that the new roots do not verify is not taken, nor are they', async () => {
  const watch = await start()
  const before = watch.trust.current()
  await place.write('pki/bundle.json', place.partner.pem)
  await expect
    .poll(() => watch.errors().join())
    .toContain('not an X.509-SVID that workloads of example.org trust')
  expect(watch.trust.current()).toBe(before)
})

test('a certificate of the future is taken when its time has come, though no file changes then', async () => {
  let now = new Date()
  const watch = await start('everything.yaml', () => now)
  const notBefore = new Date(Date.now() + 600_000)
  const serial = await renew({ notBefore, notAfter: new Date(notBefore.getTime() + 3_600_000) })
  await expect.poll(() => watch.errors().join()).toContain('is not valid before')
  now = new Date(notBefore.getTime() + 1000)
  await expect.poll(() => watch.taken.length).toBe(1)
  expect(serialOf(watch.trust.current())).toBe(BigInt(`0x${serial}`))
})

test.each<[string, () => Promise<unknown>]>([
  ['gateway.yaml is broken', () => place.write('everything.yaml', 'version: [')],
  ['gateway.yaml names other files', () => place.write('everything.yaml', 'version: 1')],
  ['the policy is broken', () => rm(path.join(place.path, 'everything.cedar'))],
  ["a partner's certificate is broken", () => place.write('pki/bank.pem', 'nothing')],
])('a renewed certificate is taken though %s meanwhile', async (_, meanwhile) => {
  const watch = await start()
  await meanwhile()
  const serial = await renew()
  await expect.poll(() => watch.taken.length).toBe(1)
  expect(serialOf(watch.trust.current())).toBe(BigInt(`0x${serial}`))
  // Between the two files that make it.
  expect(watch.errors().filter((faults) => !faults.includes('does not belong to the certificate'))).toEqual(
    [],
  )
})

test('certificates of single listeners, further bundles and Linkerd’s anchors are watched too', async () => {
  const watch = await start()
  const mesh = watch.trust.current().identities.get('mesh')
  const root = await createRoot({ name: 'second CA of istio' })
  const own = await root.issue({ uris: ['spiffe://cluster.local/ns/egress/sa/gateway'] })
  await place.write('pki/istio.key', own.keyPem)
  await place.write('pki/istio.pem', own.chainPem)
  await expect.poll(() => watch.trust.current().identities.get('mesh')?.leafSha256).not.toBe(mesh?.leafSha256)
  await place.write('pki/istio-root.pem', root.pem)
  await expect
    .poll(() => watch.trust.current().bundles.get('cluster.local')?.x509Authorities[0]?.subject)
    .toContain('second')
  await place.write('pki/linkerd-root.pem', root.pem)
  await expect.poll(() => watch.trust.current().linkerd?.anchors[0]?.subject).toContain('second')
})
