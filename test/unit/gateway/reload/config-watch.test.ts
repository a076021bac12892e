import { expect, test } from 'vitest'
import type { AcceptedConfig } from '../../../../gateway/reload/accept.ts'
import { type ApplyResult, watchConfig } from '../../../../gateway/reload/config-watch.ts'
import type { ConfigSource } from '../../../../gateway/reload/source.ts'
import { ConfigStatus } from '../../../../gateway/reload/status.ts'

const REVISION = { config: 'sha256:new', policy: 'sha256:p' }
const accepted = {
  loaded: { config: { revision: REVISION.config } },
  policy: { revision: REVISION.policy },
  warnings: [],
} as unknown as AcceptedConfig

/** A source that gives the same new configuration at the first look and where it is forced to, as both of ours do. */
function place(apply: () => ApplyResult | Error) {
  let clock = 0
  let looks = 0
  let applied = 0
  const source: ConfigSource = {
    name: 'gateway.yaml',
    begin: () => Promise.reject(new Error('not asked for')),
    look({ force }) {
      looks += 1
      const result = force || looks === 1 ? ({ ok: true, accepted } as const) : null
      return Promise.resolve({ contact: true, problem: null, result })
    },
  }
  const logged: string[] = []
  const say = (_: unknown, text?: string) => void logged.push(text ?? '')
  const status = new ConfigStatus(
    { config: 'sha256:old', policy: 'sha256:p' },
    { source: 'gateway.yaml', now: () => new Date() },
  )
  const watch = watchConfig({
    source,
    status,
    apply() {
      applied += 1
      const result = apply()
      return result instanceof Error ? Promise.reject(result) : Promise.resolve(result)
    },
    keptRevocations: () => null,
    metrics: { reload() {} },
    log: { info: say, warn: say, error: say } as never,
    now: () => new Date(),
    monotonic: () => clock,
    intervalMs: 1,
  })
  return {
    status,
    logged,
    applied: () => applied,
    looks: () => looks,
    later(ms: number) {
      clock += ms
    },
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  }
}

const taken: ApplyResult = {
  ok: false,
  faults: [{ file: 'gateway.yaml', line: 1, key: null, message: 'the port is taken', remedy: null }],
}

test.for<[string, ApplyResult | Error]>([
  ['whose port is taken', taken],
  ['that an error of our own kept out', new Error('of our own')],
])(
  'a configuration %s is tried again after a minute and then after two, though nothing has changed',
  async ([, first]) => {
    let result: ApplyResult | Error = first
    await using at = place(() => result)
    await expect.poll(at.applied).toBe(1)
    const before = at.looks()
    await expect.poll(at.looks).toBeGreaterThan(before + 3)
    expect(at.applied()).toBe(1)
    expect(at.status.fault).not.toBeNull()
    at.later(60_000)
    await expect.poll(at.applied).toBe(2)
    const again = at.looks()
    await expect.poll(at.looks).toBeGreaterThan(again + 3)
    expect(at.applied()).toBe(2)
    expect(at.logged.filter((line) => line.includes('is refused'))).toHaveLength(1)
    result = { ok: true, needsRestart: [] }
    at.later(60_000)
    await expect.poll(at.looks).toBeGreaterThan(again + 7)
    expect(at.applied()).toBe(2)
    at.later(60_000)
    await expect.poll(at.applied).toBe(3)
    await expect.poll(() => at.status.fault).toBeNull()
    expect(at.status.revision).toEqual(REVISION)
    at.later(3_600_000)
    const last = at.looks()
    await expect.poll(at.looks).toBeGreaterThan(last + 3)
    expect(at.applied()).toBe(3)
  },
)
