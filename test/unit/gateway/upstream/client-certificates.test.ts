import { beforeAll, describe, expect, test } from 'vitest'
import { Secret } from '../../../../common/secret.ts'
import type { ClientCertificateEntry, Destination } from '../../../../gateway/config/types.ts'
import {
  secureContextFor,
  selectClientCertificate,
} from '../../../../gateway/upstream/client-certificates.ts'
import { X509Certificate } from 'node:crypto'
import { parseSpiffeId } from '../../../../spiffe/id.ts'
import { parseSpiffeIdPattern } from '../../../../spiffe/pattern.ts'
import { createRoot, type Issued } from '../../../fixtures/pki.ts'

const WORKLOAD = parseSpiffeId('spiffe://example.org/a')

let issued: Issued
beforeAll(async () => {
  const root = await createRoot({ name: 'clients' })
  issued = await root.issue({ cn: 'client' })
})

function entry(...uris: readonly string[]): ClientCertificateEntry {
  const { chainPem, keyPem, pem } = issued
  return {
    source: uris.join(),
    workloads: uris.map(parseSpiffeIdPattern),
    keyPair: { chainPem, key: new Secret(keyPem), leaf: new X509Certificate(pem), leafSha256: '' },
  }
}

const destination = (roots: Destination['roots'] = 'system'): Destination => ({
  name: 'x',
  hosts: [],
  ports: [443],
  tags: [],
  tls: 'originate',
  requestedAs: [],
  ech: 'ignore',
  nameProof: 'required',
  serverNames: [],
  clientCertificates: [],
  roots,
  pins: [],
  serverName: null,
  minVersion: 'TLSv1.2',
  alpn: [],
  startTls: null,
  startTlsDirect: false,
  allowAddresses: [],
  connect: { timeoutMs: 1, attempts: 1, confirmMs: null },
  session: { idleTimeoutMs: 1, halfCloseTimeoutMs: 1, maxDurationMs: null, atExpiry: 'renewed' },
  limits: null,
})

describe('selectClientCertificate', () => {
  test('the first entry with a pattern that matches', () => {
    const other = entry('spiffe://example.org/b')
    const first = entry('spiffe://example.org/c', WORKLOAD.uri)
    const second = entry(WORKLOAD.uri)
    expect(selectClientCertificate([other, first, second], WORKLOAD)).toBe(first)
  })

  test.each([
    ['no entry', []],
    ['no pattern', [[]]],
    ['no match', [['spiffe://example.org/b'], ['spiffe://example.org/a/b']]],
  ])('%s: none', (_name, patterns: readonly (readonly string[])[]) => {
    const entries = patterns.map((uris) => entry(...uris))
    expect(selectClientCertificate(entries, WORKLOAD)).toBeNull()
  })
})

describe('secureContextFor', () => {
  test('is made once for a destination and entry', () => {
    const one = destination()
    const own = entry(WORKLOAD.uri)
    expect(secureContextFor(one, own)).toBe(secureContextFor(one, own))
    expect(secureContextFor(one, null)).toBe(secureContextFor(one, null))
    expect(secureContextFor(one, own, 'x25519')).toBe(secureContextFor(one, own, 'x25519'))
    expect(secureContextFor(one, own, 'x25519')).not.toBe(secureContextFor(one, own))
  })

  test('is never shared between entries, nor between destinations that look alike', () => {
    const one = destination()
    const own = entry(WORKLOAD.uri)
    const contexts = [
      secureContextFor(one, own),
      secureContextFor(one, entry(WORKLOAD.uri)),
      secureContextFor(one, null),
      secureContextFor(destination(), own),
    ]
    expect(new Set(contexts).size).toBe(4)
  })
})
