import { expect, test } from 'vitest'
import type { Destination } from '../../../../gateway/config/types.ts'
import { drain } from '../../../../gateway/sessions/drain.ts'
import { SessionRegistry } from '../../../../gateway/sessions/registry.ts'

const AT = { host: 'd.test', port: 443 }

function scene() {
  const registry = new SessionRegistry()
  const closed: string[] = []
  const add = (id: string, lastActivityAt: number, over: boolean) =>
    registry.add({
      ...{ id, openedAt: new Date(), bytes: { sent: 0, received: 0 }, lastActivityAt, over },
      grounds: {
        ...{ listener: 'proxy', source: { ip: '10.0.0.1', port: 1, vpcEndpoint: null }, upstream: null },
        ...{ passthrough: false, ech: false, requested: AT, target: AT },
        destination: { name: 'd' } as unknown as Destination,
        identity: {
          ...{ ok: true, principal: { kind: 'network', name: 'legacy' } },
          ...{ credential: 'network', serialNumber: '', tokenId: null, tokenKeyId: null },
          ...{ chain: [], expiresAt: null },
        },
      },
      close() {
        closed.push(id)
        registry.delete(id)
      },
    })
  return { registry, closed, add }
}

test('what was cut before and is not cleared away yet has no share of the deadline', async () => {
  const { registry, closed, add } = scene()
  // Idle for longer than any that lives: they would be closed first, in the place of those.
  for (let at = 0; at < 20; at += 1) add(`cut-${at}`, at, true)
  add('idle', 100, false)
  add('busy', 200, false)
  await drain({ delayMs: 0, deadlineMs: 500, registry, onUnready() {}, onRefuse() {} })
  expect(closed[0]).toBe('idle')
  expect(closed).toHaveLength(22)
})
