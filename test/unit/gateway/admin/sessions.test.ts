import { expect, test } from 'vitest'
import { createSessionsApp } from '../../../../gateway/admin/sessions.ts'
import type { LiveSession } from '../../../../gateway/sessions/live-session.ts'
import { SessionRegistry } from '../../../../gateway/sessions/registry.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

function sessionOf(id: string, over: boolean): LiveSession {
  const at = { host: 'd.test', port: 443 }
  const principal = { kind: 'workload', id: parseSpiffeId('spiffe://example.org/a') }
  const grounds = {
    ...{
      listener: 'proxy',
      source: {},
      requested: at,
      target: at,
      destination: { name: 'd' },
      upstream: null,
    },
    identity: { principal, credential: 'certificate', serialNumber: '', tokenId: null, expiresAt: null },
  }
  return {
    ...{ id, over, openedAt: new Date(), bytes: { sent: 0, received: 0 }, lastActivityAt: 0 },
    grounds: grounds as never,
    close() {},
  }
}

test('what was cut and is not cleared away yet is neither listed nor closed again', async () => {
  const registry = new SessionRegistry()
  registry.add(sessionOf('cut', true))
  registry.add(sessionOf('live', false))
  const ended: string[] = []
  const end = (sessions: Iterable<LiveSession>) => {
    for (const { id } of sessions) ended.push(id)
  }
  const app = createSessionsApp({ registry, living: { end }, now: () => new Date() }, () => 'tests')
  const ask = async (method: string, path: string): Promise<unknown> =>
    (await app.request(path, { method })).json()
  expect(await ask('GET', '/')).toMatchObject({ total: 1, sessions: [{ id: 'live' }] })
  expect(await ask('DELETE', '/cut')).toMatchObject({ status: 404 })
  expect(await ask('DELETE', '/?destination=d')).toEqual({ closed: 1 })
  expect(ended).toEqual(['live'])
})
