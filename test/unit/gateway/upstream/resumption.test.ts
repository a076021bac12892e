// The key of a session: each thing that a full handshake verifies changes it, alone.
import { X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { Secret } from '../../../../common/secret.ts'
import type { ClientCertificateEntry, Destination } from '../../../../gateway/config/types.ts'
import { type SessionScope, sessionKey } from '../../../../gateway/upstream/resumption.ts'
import { createRoot } from '../../../fixtures/pki.ts'
import { destination } from '../../../integration/upstream/harness.ts'

const entries: ClientCertificateEntry[] = []
beforeAll(async () => {
  const root = await createRoot({ name: 'clients' })
  for (const cn of ['a', 'b']) {
    const { pem, chainPem, keyPem } = await root.issue({ cn })
    const keyPair = { chainPem, key: new Secret(keyPem), leaf: new X509Certificate(pem), leafSha256: cn }
    entries.push({ source: cn, workloads: [], keyPair })
  }
})

/** One destination all along, so that what is written into it is all that changes. */
const at: Destination = destination({ roots: ['root'] })
const scope = (more: Partial<SessionScope> = {}): SessionScope => ({
  destination: at,
  entry: null,
  host: 'a.example',
  port: 443,
  name: 'a.example',
  ...more,
})

test('is the same for the same', () => {
  expect(sessionKey(scope())).toBe(sessionKey(scope()))
  expect(sessionKey(scope({ entry: entries[0] ?? null }))).toBe(
    sessionKey(scope({ entry: entries[0] ?? null })),
  )
})

describe('is another for', () => {
  const others: Record<string, () => SessionScope> = {
    'another host': () => scope({ host: 'b.example' }),
    'another port': () => scope({ port: 8443 }),
    'another name': () => scope({ name: 'b.example' }),
    'a client certificate': () => scope({ entry: entries[0] ?? null }),
    'a destination that was replaced by an equal one': () => scope({ destination: { ...at } }),
  }
  for (const [name, other] of Object.entries(others)) {
    test(name, () => {
      expect(sessionKey(other())).not.toBe(sessionKey(scope()))
    })
  }

  test('another client certificate', () => {
    const [one, two] = entries
    expect(sessionKey(scope({ entry: one ?? null }))).not.toBe(sessionKey(scope({ entry: two ?? null })))
  })

  const changes: Record<string, Partial<Destination>> = {
    'other roots': { roots: ['other'] },
    'one root more': { roots: ['root', 'other'] },
    'the system’s roots': { roots: 'system' },
    'a pin': { pins: ['x'] },
    'another pin': { pins: ['y'] },
    'another least version': { minVersion: 'TLSv1.3' },
    'a protocol': { alpn: ['h2'] },
    'the same protocols in another order': { alpn: ['http/1.1', 'h2'] },
    'another destination': { name: 'other' },
  }
  const seen = new Set<string>()
  for (const [name, change] of Object.entries(changes)) {
    test(name, () => {
      const before = { ...at }
      seen.add(sessionKey(scope()))
      const known = seen.size
      Object.assign(at, change)
      seen.add(sessionKey(scope()))
      Object.assign(at, before)
      expect(seen.size).toBe(known + 1)
    })
  }
})
