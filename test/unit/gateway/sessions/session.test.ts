import { Duplex } from 'node:stream'
import { expect, test, vi } from 'vitest'
import type { Identified } from '../../../../gateway/listeners/identify.ts'
import type { Cutting } from '../../../../gateway/sessions/cutting.ts'
import type { LiveSession } from '../../../../gateway/sessions/live-session.ts'
import type { Judged } from '../../../../gateway/sessions/living.ts'
import { runSession, type SessionDependencies } from '../../../../gateway/sessions/session.ts'
import { NO_FACTS, type Tunnel } from '../../../../gateway/sessions/tunnel.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

const identity: Identified = {
  ok: true,
  principal: { kind: 'workload', id: parseSpiffeId('spiffe://example.org/a') },
  ...{ credential: 'token', serialNumber: '', tokenId: 't', tokenKeyId: 'k', expiresAt: null, chain: [] },
}

const connection = {
  ...{ id: 'c', handshakeMs: null },
  source: { ip: '10.0.0.1', port: 1, vpcEndpoint: null },
}

/** Of a gateway that allows everything. */
function dependencies(more: object): SessionDependencies {
  const nothing = () => null
  const session = { idleTimeoutMs: 60_000, halfCloseTimeoutMs: 60_000, maxDurationMs: null }
  return {
    ...{ listener: 'proxy', newId: () => 'id', now: () => new Date(), revision: nothing },
    ...{ draining: () => false, stale: () => false, revoked: nothing },
    match: () => ({
      ...{ name: 'd', tls: 'originate', hosts: [{ kind: 'exact', host: 'd.test' }], ports: [443] },
      ...{ requestedAs: [], startTls: null, session },
    }),
    policy: { decide: () => ({ result: 'allow', code: null, policies: [], recheckAt: null }) },
    limits: { admit: () => ({ pace: {}, leave() {}, release() {} }) },
    registry: { add() {}, delete() {} },
    metrics: { decision() {}, upstreamConnected() {}, attempt() {}, sessionOpened() {}, sessionEnded() {} },
    collector: { left() {} },
    turns: { enter: () => null },
    onInternalError(error: unknown) {
      throw error
    },
    ...more,
  } as unknown as SessionDependencies
}

test('what changes while a token is verified counts: the session is judged again before it opens', async () => {
  const judged: Judged[] = []
  const ended: string[] = []
  const living = { generation: 7, accepted() {}, opened: (_: unknown, by: Judged) => note(by) }
  const note = (by: Judged) => {
    judged.push(by)
    return { code: 'session-trust-removed' as const, detail: null }
  }
  const deps = dependencies({
    living,
    audit: { available: () => true, closed: (_: unknown, { code }: { code: string }) => ended.push(code) },
    openUpstream: () =>
      Promise.resolve({
        ...{ facts: { resumed: false }, timings: {}, proven: null, stream: {} },
        raw: { resetAndDestroy() {} },
      }),
  })
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
  await runSession(deps, connection, tunnel)
  expect(ended).toEqual(['session-trust-removed'])
  expect(judged).toHaveLength(1)
  expect(judged[0]?.generation).toBe(7)
})

test('a cut session has its last word and leaves its place at once, and is live until it is cleared away', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const said: string[] = []
  const say = (word: string) => () => void said.push(word)
  const left: Parameters<Cutting['rest']>[] = []
  const live: LiveSession[] = []
  const still = () => new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() })
  const stream = still()
  const client = {
    ...{ stream: still(), end() {}, reset: say('client reset') },
    ...{ endIsReal: () => true, closeIsClean: () => true },
  }
  const deps = dependencies({
    living: { generation: 7, accepted() {}, opened: () => null },
    audit: {
      ...{ available: () => true, opened() {}, progress: say('progress'), closedSoon: say('closed') },
      closed: say('closed otherwise'),
    },
    limits: { admit: () => ({ pace: undefined, leave: say('left'), release: say('released') }) },
    registry: { add: (one: LiveSession) => live.push(one), delete: say('deleted') },
    progressMs: 10,
    cutting: { rest: (...rest: Parameters<Cutting['rest']>) => left.push(rest) },
    openUpstream: () =>
      Promise.resolve({
        ...{ facts: { resumed: false }, timings: {}, proven: null, stream, judgeLateError: () => 'x' },
        raw: { resetAndDestroy: say('service reset') },
      }),
  })
  const tunnel: Tunnel = {
    ...{ requested: { host: 'd.test', port: 443 }, facts: NO_FACTS, signal: new AbortController().signal },
    ...{ identify: () => identity, accept: () => client, refuse() {} },
  }
  const over = runSession(deps, connection, tunnel)
  for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve))
  vi.advanceTimersByTime(10)
  live[0]?.close('session-closed-by-operator')
  vi.advanceTimersByTime(100)
  expect(said).toEqual(['progress', 'client reset', 'closed', 'left'])
  expect(live[0]?.over).toBe(true)
  const [reset, end] = left[0] ?? []
  reset?.()
  end?.()
  await over
  expect(said.slice(4)).toEqual(['service reset', 'released', 'deleted'])
  vi.useRealTimers()
})
