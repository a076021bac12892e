// Live sessions against a naive model: after whatever happened, those live that would be allowed today, and no others.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Destination } from '../../../../gateway/config/types.ts'
import type { Decision, Question } from '../../../../gateway/policy/types.ts'
import { RevocationList, type Revocation, type Selector } from '../../../../gateway/revocations/list.ts'
import { createRevocationStore } from '../../../../gateway/revocations/store.ts'
import { createJudgeAgain } from '../../../../gateway/sessions/judge-again.ts'
import type { Grounds, LiveSession } from '../../../../gateway/sessions/live-session.ts'
import { Living } from '../../../../gateway/sessions/living.ts'
import { SessionRegistry } from '../../../../gateway/sessions/registry.ts'
import { Renewals } from '../../../../gateway/sessions/renewals.ts'
import { NO_SURROUNDINGS } from '../../../../gateway/upstream/permit.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

const WORKLOADS = ['spiffe://example.org/a', 'spiffe://example.org/b', 'spiffe://example.org/c']
const DESTINATIONS = ['one', 'two']
const KEYS = ['k1', 'k2']

interface Now {
  /** `workload destination`. */
  denied: ReadonlySet<string>
  destinations: readonly string[]
  keys: readonly string[]
  revoked: readonly Revocation[]
}

interface Opened {
  readonly workload: string
  readonly destination: string
  readonly key: string
  readonly token: string
}

const destination = (name: string) =>
  ({
    ...{
      name,
      hosts: [{ kind: 'exact', host: `${name}.test` }],
      ports: [443],
      requestedAs: [],
      tls: 'opaque',
    },
    session: { atExpiry: 'keep' },
  }) as unknown as Destination

/** The whole question, asked in the simplest way. */
function allowed({ workload, destination: name, key, token }: Opened, now: Now): boolean {
  const named: Readonly<Record<Selector, string>> = {
    workload,
    destination: name,
    tokenId: token,
    serialNumber: '',
  }
  return (
    now.destinations.includes(name) &&
    now.keys.includes(key) &&
    !now.denied.has(`${workload} ${name}`) &&
    !now.revoked.some(({ selector, value }) => named[selector] === value)
  )
}

function set() {
  const now: Now = { denied: new Set(), destinations: DESTINATIONS, keys: KEYS, revoked: [] }
  const values = new Map(DESTINATIONS.map((name) => [name, destination(name)]))
  const registry = new SessionRegistry()
  const renewals = new Renewals()
  const revocations = createRevocationStore(new RevocationList([]), () => new Date(0))
  const decide = ({ principal, destination: { name } }: Question): Decision => {
    const denied = principal.kind === 'workload' && now.denied.has(`${principal.id.uri} ${name}`)
    const code = denied ? 'policy-denied' : null
    return {
      result: denied ? 'deny' : 'allow',
      code,
      mode: 'enforce',
      policies: [],
      cached: false,
      error: null,
      recheckAt: null,
    }
  }
  const judge = createJudgeAgain({
    ...{ renewals, policy: { decide }, surroundings: () => NO_SURROUNDINGS, now: () => new Date(0) },
    match: (host) => values.get(host.replace('.test', '')) ?? null,
    revoked: (asked) => revocations.find(asked),
    identifyNetwork: () => ({ ok: false, code: 'client-network-unknown', detail: null }),
    trustOf: () => ({
      linkerd: null,
      bundle: (trustDomain) => ({
        ...{ trustDomain, x509Authorities: [], sequence: null, refreshHintSeconds: null },
        jwtAuthorities: now.keys.map((keyId) => ({ keyId, key: {} })),
      }),
    }),
  })
  const living = new Living({
    ...{ registry, renewals, judge, now: () => new Date(0), random: () => 0 },
    onInternalError: (error) => {
      throw error
    },
  })
  revocations.onChange(({ added }) => living.revoked(added))
  return { now, values, registry, living, revocations }
}

type World = ReturnType<typeof set>

function open(
  { registry, values }: World,
  id: string,
  { workload, destination: name, key, token }: Opened,
): void {
  const kept = values.get(name)
  if (kept === undefined) return
  const grounds: Grounds = {
    ...{
      listener: 'proxy',
      source: { ip: '10.0.0.1', port: 1, vpcEndpoint: null },
      passthrough: false,
      ech: false,
    },
    ...{ requested: { host: `${name}.test`, port: 443 }, target: { host: `${name}.test`, port: 443 } },
    ...{ destination: kept, upstream: null },
    identity: {
      ...{
        ok: true,
        principal: { kind: 'workload', id: parseSpiffeId(workload) },
        credential: 'token',
        chain: [],
      },
      ...{ serialNumber: '', tokenId: token, tokenKeyId: key, expiresAt: null },
    },
  }
  const session: LiveSession = {
    ...{
      id,
      grounds,
      openedAt: new Date(0),
      bytes: { sent: 0, received: 0 },
      lastActivityAt: 0,
      over: false,
    },
    close: () => registry.delete(id),
  }
  registry.add(session)
}

const opened = fc.record({
  workload: fc.constantFrom(...WORKLOADS),
  destination: fc.constantFrom(...DESTINATIONS),
  key: fc.constantFrom(...KEYS),
  token: fc.constantFrom('t1', 't2', 't3'),
})
const revocation = fc.oneof(
  ...(
    [
      ['workload', WORKLOADS],
      ['destination', DESTINATIONS],
      ['tokenId', ['t1', 't2', 't3']],
    ] as const
  ).map(([selector, of]) =>
    fc.record({
      selector: fc.constant(selector),
      value: fc.constantFrom(...of),
      reason: fc.constant('x'),
      until: fc.constant(null),
    }),
  ),
)
const act = fc.oneof(
  { weight: 6, arbitrary: fc.record({ open: opened }) },
  { weight: 1, arbitrary: fc.record({ end: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      denied: fc.subarray(WORKLOADS.flatMap((w) => DESTINATIONS.map((d) => `${w} ${d}`))),
    }),
  },
  { weight: 1, arbitrary: fc.record({ destinations: fc.subarray(DESTINATIONS) }) },
  { weight: 1, arbitrary: fc.record({ keys: fc.subarray(KEYS) }) },
  { weight: 1, arbitrary: fc.record({ revoked: fc.array(revocation, { maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.constant('wait' as const) },
)
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never

function run(world: World, one: Exclude<Act, 'wait'>): void {
  const { now, values, living, revocations } = world
  if ('denied' in one) now.denied = new Set(one.denied)
  if ('keys' in one) now.keys = one.keys
  if ('destinations' in one) {
    now.destinations = one.destinations
    values.clear()
    for (const name of one.destinations) values.set(name, destination(name))
  }
  if ('revoked' in one) {
    now.revoked = one.revoked
    revocations.replace(new RevocationList(one.revoked))
  } else living.changed()
}

/** Until nothing is judged any more; what is spread comes with timers of no time. */
async function settle({ living }: World): Promise<void> {
  do {
    await new Promise((resolve) => setTimeout(resolve, 1))
    await new Promise((resolve) => setImmediate(resolve))
  } while (living.waiting > 0)
  await new Promise((resolve) => setTimeout(resolve, 2))
}

test('after any changes those live that would be allowed today, and no others were closed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
      const world = set()
      const { registry, now } = world
      const model = new Map<string, Opened>()
      for (const [index, one] of acts.entries()) {
        if (one === 'wait') await settle(world)
        else if ('open' in one) {
          // As a session that opens: judged by what is in force in the same turn.
          if (!allowed(one.open, now)) continue
          model.set(String(index), one.open)
          open(world, String(index), one.open)
        } else if ('end' in one) {
          model.delete(String(one.end))
          registry.delete(String(one.end))
        } else {
          run(world, one)
          for (const [id, of] of model) if (!allowed(of, now)) model.delete(id)
          // What is refused now and allowed again before it was judged may live: the question is today's.
          await settle(world)
        }
      }
      await settle(world)
      expect([...registry.all()].map(({ id }) => id)).toEqual([...model.keys()])
      for (const index of ['principal', 'destination', 'tokenId'] as const) {
        const found = [...registry.keys(index)].flatMap((key) => [...registry.by(index, key)]).length
        expect(found).toBe(model.size)
      }
      for (const id of model.keys()) registry.delete(id)
      expect([
        ...registry.keys('principal'),
        ...registry.keys('destination'),
        ...registry.keys('tokenId'),
      ]).toEqual([])
      expect(world.living.waiting).toBe(0)
      world.living.close()
    }),
    { numRuns: 60 },
  )
})
