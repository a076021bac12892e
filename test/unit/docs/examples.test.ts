// Every configuration under examples/ has neither fault nor warning, with the certificates that it names.
import { cp } from 'node:fs/promises'
import path from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { expect, test } from 'vitest'
import { checkGatewayConfig } from '../../../gateway/config/check.ts'
import { readBundle, writeBundle } from '../../../spiffe/bundle.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { createWorld } from '../../fixtures/world.ts'

const EXAMPLES = path.resolve(import.meta.dirname, '../../../examples')

test('examples/mesh', async () => {
  await using world = await createWorld()
  await cp(path.join(EXAMPLES, 'mesh'), world.directory, { recursive: true })
  const { publicKey } = await generateKeyPair('ES256')
  const jwtAuthorities = [{ keyId: 'k1', key: await exportJWK(publicKey) }]
  const bundle = { ...readBundle(world.root.pem, 'example.org'), jwtAuthorities }
  await world.file('pki/bundle.json', writeBundle(bundle))
  for (const [name, leaf] of [
    ['istio', { uris: ['spiffe://cluster.local/ns/egress/sa/gateway'] }],
    ['linkerd', { dns: ['sallyport.egress.serviceaccount.identity.linkerd.cluster.local'] }],
  ] as const) {
    const root = await createRoot({ name })
    const { chainPem, keyPem } = await root.issue(leaf)
    await world.file(`pki/${name}.pem`, chainPem)
    await world.file(`pki/${name}.key`, keyPem)
    await world.file(name === 'istio' ? 'pki/istio-root.pem' : 'pki/linkerd-ca.pem', root.pem)
  }
  const file = path.join(world.directory, 'gateway.yaml')
  expect(await checkGatewayConfig(file)).toEqual({ faults: [], warnings: [] })
})

test('examples/aws', async () => {
  await using world = await createWorld()
  await cp(path.join(EXAMPLES, 'aws'), world.directory, { recursive: true })
  const { faults, warnings } = await checkGatewayConfig(path.join(world.directory, 'gateway.yaml'))
  expect(faults).toEqual([])
  expect(warnings.map(({ message }) => message)).toEqual([
    'secrets are not read here: of 2 reference(s) to Secrets Manager the form alone is checked',
  ])
})

test('examples/database', async () => {
  await using world = await createWorld()
  await cp(path.join(EXAMPLES, 'database'), world.directory, { recursive: true })
  const { chainPem, keyPem } = await world.partnerCa.issue({ cn: 'orders' })
  await world.file('pki/database-ca.pem', world.partnerCa.pem)
  await world.file('pki/orders.pem', chainPem)
  await world.file('pki/orders.key', keyPem)
  const file = path.join(world.directory, 'gateway.yaml')
  expect(await checkGatewayConfig(file)).toEqual({ faults: [], warnings: [] })
})
