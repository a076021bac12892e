// What a second showing of a token means, and how long a first one is remembered (attacks 30, 47).
import { describe, expect, it } from 'vitest'
import type { Proof, Reuse } from '../../../../../lambdas/identity/proofs/proof.ts'
import { useToken } from '../../../../../lambdas/identity/replay/guard.ts'
import { createMemoryReplayStore } from '../../../../../lambdas/identity/replay/memory.ts'
import { createClock } from '../support.ts'

function setUp(reuse: Reuse, maxEntries?: number) {
  const clock = createClock()
  const store = createMemoryReplayStore({
    clock: clock.now,
    ...(maxEntries === undefined ? {} : { maxEntries }),
  })
  const expiresAt = new Date(clock.now().getTime() + 300_000)
  const proof = (more: Partial<Proof> = {}): Proof => ({
    kind: 'oidc',
    provider: 'main',
    reuse,
    endsAt: null,
    binding: null,
    aws: null,
    issuer: 'https://issuer.example',
    subject: 's',
    tokenId: 'jti',
    claims: new Map(),
    issuedAt: clock.now(),
    expiresAt,
    ...more,
  })
  return { clock, use: (binding: string, more?: Partial<Proof>) => useToken(store, proof(more), binding) }
}

const used = { code: 'token-used' }

describe('reuse: once', () => {
  it('refuses a second showing, with the same key too', async () => {
    const { use } = setUp('once')
    await use('a')
    await expect(use('a')).rejects.toMatchObject(used)
    await expect(use('b')).rejects.toMatchObject(used)
  })

  it('attack 47: lets exactly one of fifty parallel showings through', async () => {
    const { use } = setUp('once')
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => use('a')))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('attack 30: remembers beyond the moment at which the token stops being accepted', async () => {
    const { clock, use } = setUp('once')
    await use('a')
    clock.advance(330_000)
    await expect(use('a')).rejects.toMatchObject(used)
    clock.advance(30_000)
    await expect(use('a')).resolves.toBeUndefined()
  })
})

describe('reuse: sameKey', () => {
  it('lets the first key come again and no other', async () => {
    const { use } = setUp('sameKey')
    await use('a')
    await use('a')
    await expect(use('b')).rejects.toMatchObject(used)
    await use('a')
  })

  it('lets one key through of many that come at once', async () => {
    const { use } = setUp('sameKey')
    const keys = Array.from({ length: 50 }, (_, index) => `key-${index % 5}`)
    const results = await Promise.allSettled(keys.map((key) => use(key)))
    const winners = new Set(keys.filter((_, index) => results[index]?.status === 'fulfilled'))
    expect(winners.size).toBe(1)
  })
})

describe('reuse: untilExpiry', () => {
  it('lets any key come', async () => {
    const { use } = setUp('untilExpiry')
    await use('a')
    await expect(use('b')).resolves.toBeUndefined()
  })
})

describe('the replay store', () => {
  it('attack 30: keeps the same id of two issuers apart', async () => {
    const { use } = setUp('once')
    await use('a')
    await expect(use('a', { issuer: 'https://other.example' })).resolves.toBeUndefined()
    await expect(use('a', { issuer: 'https://issuer.example', tokenId: 'other' })).resolves.toBeUndefined()
  })

  it('refuses what is new when it is full, forgets nothing early, and takes the place of what has ended', async () => {
    const { clock, use } = setUp('once', 2)
    await use('a', { tokenId: '1' })
    await use('a', { tokenId: '2' })
    await expect(use('a', { tokenId: '3' })).rejects.toMatchObject({ code: 'replay-store-full' })
    await expect(use('a', { tokenId: '1' })).rejects.toMatchObject(used)
    clock.advance(360_000)
    await expect(use('a', { tokenId: '3' })).resolves.toBeUndefined()
  })
})
