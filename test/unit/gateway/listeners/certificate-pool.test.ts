// One object for one certificate: what is kept about it is kept by object.
import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { pooled } from '../../../../gateway/listeners/certificate-pool.ts'
import { createRoot } from '../../../fixtures/pki.ts'

test('the same certificate, read twice, becomes one object, and another never does', async () => {
  const root = await createRoot({ name: 'root' })
  const [one, two] = [await root.issue({ cn: 'a' }), await root.issue({ cn: 'a' })]
  const first = new X509Certificate(one.pem)
  expect(pooled([first])[0]).toBe(first)
  expect(pooled([new X509Certificate(one.pem)])[0]).toBe(first)
  expect(pooled([new X509Certificate(two.pem), new X509Certificate(one.pem)])).toEqual([
    expect.objectContaining({ fingerprint256: new X509Certificate(two.pem).fingerprint256 }),
    first,
  ])
})
