// Who a peer is, where our reading of his certificate and OpenSSL's disagree or fail.
import { X509Certificate } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { identify, type PeerChain } from '../../../../gateway/listeners/identify.ts'
import { readBundle } from '../../../../spiffe/bundle.ts'
import type { Bundle } from '../../../../spiffe/bundle.ts'
import { createRoot } from '../../../fixtures/pki.ts'

const OPENSSL_AGREES = { authorized: true, error: null }
let chain: PeerChain
let bundle: Bundle

beforeAll(async () => {
  const root = await createRoot({ name: 'root of example.org' })
  const leaf = await root.issue({ uris: ['spiffe://example.org/payments'] })
  chain = leaf.chainPem
    .split(/(?=-----BEGIN)/)
    .filter((pem) => pem.includes('BEGIN'))
    .map((pem) => new X509Certificate(pem))
  bundle = readBundle(root.pem, 'example.org')
})

const trusting = (found: Bundle) => ({ bundle: () => found, linkerd: null })

test('an SVID that both accept is a workload, with its serial number as it is written everywhere', () => {
  const identity = identify(chain, OPENSSL_AGREES, trusting(bundle), new Date())
  expect(identity).toMatchObject({
    ok: true,
    principal: { kind: 'workload', id: { uri: 'spiffe://example.org/payments' } },
  })
  expect(identity.ok && identity.serialNumber).toMatch(/^(?:[0-9a-f]{2})+$/)
})

test('one that OpenSSL refuses is refused, though we would accept it', () => {
  const openssl = { authorized: false, error: 'CERT_REVOKED' }
  expect(identify(chain, openssl, trusting(bundle), new Date())).toEqual({
    ok: false,
    code: 'client-certificate-refused',
    detail: 'CERT_REVOKED',
  })
})

test('one on which our own reading fails is refused, and nothing is thrown', () => {
  const failing = () => {
    throw new TypeError('not foreseen')
  }
  expect(identify(chain, OPENSSL_AGREES, { bundle: failing, linkerd: null }, new Date())).toEqual({
    ok: false,
    code: 'client-certificate-malformed',
    detail: 'not foreseen',
  })
})

test('none is missing', () => {
  expect(identify([], OPENSSL_AGREES, trusting(bundle), new Date())).toMatchObject({
    code: 'client-certificate-missing',
  })
})
