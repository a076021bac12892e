// Measures what judging live sessions again costs: how long until the last one was judged, how long until the last one that
// is no longer allowed was closed, and for how long the event loop was held at most. The sessions are the registry's, with
// all that is kept of one and no socket; policy is the real engine's.
import { compilePolicy } from '../../gateway/policy/compile.ts'
import type { Policy } from '../../gateway/policy/types.ts'
import type { Destination } from '../../gateway/config/types.ts'
import { RevocationList } from '../../gateway/revocations/list.ts'
import { createJudgeAgain } from '../../gateway/sessions/judge-again.ts'
import { Living } from '../../gateway/sessions/living.ts'
import { SessionRegistry } from '../../gateway/sessions/registry.ts'
import { Renewals } from '../../gateway/sessions/renewals.ts'
import { NO_SURROUNDINGS } from '../../gateway/upstream/permit.ts'
import { parseSpiffeId } from '../../spiffe/id.ts'

interface Case {
  readonly sessions: number
  readonly workloads: number
  readonly policies: number
}

const DESTINATIONS = 20
const idOf = (workload: number) => `spiffe://example.org/team-${workload % 50}/w${workload}`

function policyOf({ workloads, policies }: Case, denied: number): Policy {
  const text: string[] = []
  for (let n = 0; n < policies - 1; n += 1) {
    const who =
      n < 50
        ? `principal in Path::"spiffe://example.org/team-${n}"`
        : `principal == Workload::"${idOf(n % workloads)}"`
    const to = n < 50 ? 'resource' : `resource == Destination::"d${n % DESTINATIONS}"`
    text.push(
      `@id("p${n}") permit (${who}, action, ${to}) when { context.sourceIp.isInRange(ip("10.0.0.0/8")) };`,
    )
  }
  text.push(`@id("no") forbid (principal == Workload::"${idOf(denied)}", action, resource);`)
  const compiled = compilePolicy([{ name: 'policy.cedar', text: text.join('\n') }], {
    files: [],
    trustDomains: ['example.org'],
    networks: [],
    destinations: Array.from({ length: DESTINATIONS }, (_, n) => ({ name: `d${n}`, tags: [] })),
    listeners: [{ name: 'proxy', admits: 'workload', trustDomains: null }],
    mode: 'enforce',
  } as unknown as Parameters<typeof compilePolicy>[1])
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.policy
}

function destinationsOf(): readonly Destination[] {
  return Array.from({ length: DESTINATIONS }, (_, n) => ({
    ...{
      name: `d${n}`,
      hosts: [{ kind: 'exact', host: `d${n}.test` }],
      ports: [443],
      tags: [],
      requestedAs: [],
    },
    // The address of all of them is one of those for documentation.
    ...{ tls: 'opaque', allowAddresses: ['203.0.113.0/24'], session: { atExpiry: 'keep' } },
  })) as unknown as readonly Destination[]
}

export async function measureJudging(one: Case): Promise<void> {
  const registry = new SessionRegistry()
  const renewals = new Renewals()
  const now = () => new Date()
  let policy = policyOf(one, one.workloads)
  const destinations = destinationsOf()
  const byHost = new Map(destinations.map((destination) => [`${destination.name}.test`, destination]))
  const judge = createJudgeAgain({
    ...{ now, renewals, surroundings: () => NO_SURROUNDINGS, revoked: () => null, trustOf: () => null },
    policy: { decide: (question) => policy.decide(question) },
    match: (host) => byHost.get(host) ?? null,
    identifyNetwork: () => ({ ok: false, code: 'client-network-unknown', detail: null }),
  })
  let judged = 0
  let closedAt = 0
  const living = new Living({
    ...{ registry, judge, renewals, now, random: Math.random },
    onJudged: () => {
      judged += 1
    },
    onInternalError: (error) => {
      throw error
    },
  })
  for (let n = 0; n < one.sessions; n += 1) {
    const workload = n % one.workloads
    const destination = destinations[workload % DESTINATIONS]
    if (destination === undefined) throw new Error('no destination')
    const at = { host: `${destination.name}.test`, port: 443 }
    const id = `s${n}`
    registry.add({
      ...{ id, openedAt: now(), bytes: { sent: 0, received: 0 }, lastActivityAt: 0, over: false },
      grounds: {
        ...{ listener: 'proxy', source: { ip: `10.0.${n % 250}.7`, port: 1, vpcEndpoint: null } },
        ...{ passthrough: false, ech: false, requested: at, target: at, destination },
        upstream: { facts: { address: '203.0.113.9:443' } as never, tls: null },
        identity: {
          ...{ ok: true, principal: { kind: 'workload', id: parseSpiffeId(idOf(workload)) }, chain: [] },
          ...{ credential: 'token', serialNumber: '', tokenId: null, tokenKeyId: null, expiresAt: null },
        },
      },
      close() {
        closedAt = performance.now()
        registry.delete(id)
      },
    })
  }
  const round = async (change: () => void) => {
    judged = 0
    closedAt = 0
    let longest = 0
    let last = performance.now()
    let watching = true
    const watch = () => {
      const at = performance.now()
      longest = Math.max(longest, at - last)
      last = at
      if (watching) setImmediate(watch)
    }
    setImmediate(watch)
    const cpu = process.cpuUsage()
    const start = performance.now()
    change()
    while (living.waiting > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    const tookMs = performance.now() - start
    const { user, system } = process.cpuUsage(cpu)
    watching = false
    return {
      judged,
      tookMs: Math.round(tookMs),
      closedAfterMs: closedAt === 0 ? null : Math.round(closedAt - start),
      cpuMs: Math.round((user + system) / 1000),
      longestMs: Math.round(longest * 10) / 10,
    }
  }
  const next = policyOf(one, 7)
  const results = {
    policy: await round(() => {
      policy = next
      living.changed()
    }),
    unchanged: await round(() => living.changed()),
    revocation: await round(() =>
      living.revoked(
        new RevocationList([
          { selector: 'workload', value: 'spiffe://example.org/**', reason: 'x', until: null },
        ]),
      ),
    ),
  }
  for (const [what, result] of Object.entries(results)) {
    console.log(JSON.stringify({ ...one, what, ...result }))
  }
  living.close()
}
