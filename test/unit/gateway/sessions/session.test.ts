import { expect, test } from 'vitest'
import type { Identified } from '../../../../gateway/listeners/identify.ts'
import type { Judged } from '../../../../gateway/sessions/living.ts'
import { runSession, type SessionDependencies } from '../../../../gateway/sessions/session.ts'
import { NO_FACTS, type Tunnel } from '../../../../gateway/sessions/tunnel.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

const identity: Identified = {
  ok: true,
  principal: { kind: 'workload', id: parseSpiffeId('spiffe://example.org/a') },
  ...{ credential: 'token', serialNumber: '', tokenId: 't', tokenKeyId: 'k', expiresAt: null, chain: [] },
}

test('what changes while a token is verified counts: the session is judged again before it opens', async () => {
  const judged: Judged[] = []
  const ended: string[] = []
  const living = { generation: 7, accepted() {}, opened: (_: unknown, by: Judged) => note(by) }
  const note = (by: Judged) => {
    judged.push(by)
    return { code: 'session-trust-removed' as const, detail: null }
  }
  const nothing = () => null
  const deps = {
    ...{ listener: 'proxy', living, newId: () => 'id', now: () => new Date(), revision: nothing },
    ...{ draining: () => false, stale: () => false, revoked: nothing },
    match: () => ({
      name: 'd',
      tls: 'originate',
      hosts: [{ kind: 'exact', host: 'd.test' }],
      ports: [443],
      requestedAs: [],
      session: {},
    }),
    policy: { decide: () => ({ result: 'allow', code: null, policies: [], recheckAt: null }) },
    limits: { admit: () => ({ pace: {}, release() {} }) },
    registry: { add() {}, delete() {} },
    audit: { available: () => true, closed: (_: unknown, { code }: { code: string }) => ended.push(code) },
    metrics: { decision() {}, upstreamConnected() {}, attempt() {} },
    openUpstream: () =>
      Promise.resolve({
        ...{ facts: { resumed: false }, timings: {}, proven: null, stream: {} },
        raw: { resetAndDestroy() {} },
      }),
    onInternalError(error: unknown) {
      throw error
    },
  } as unknown as SessionDependencies
  const tunnel: Tunnel = {
    requested: { host: 'd.test', port: 443 },
    facts: NO_FACTS,
    signal: new AbortController().signal,
    async identify() {
      // The key of the token goes while its signature is being verified.
      living.generation += 1
      return identity
    },
    accept() {
      throw new Error('not allowed any more')
    },
    refuse() {},
  }
  const source = { ip: '10.0.0.1', port: 1, vpcEndpoint: null }
  await runSession(deps, { id: 'c', source, handshakeMs: null }, tunnel)
  expect(ended).toEqual(['session-trust-removed'])
  expect(judged).toHaveLength(1)
  expect(judged[0]?.generation).toBe(7)
})
