// A rotation of real documents over a strict Secrets Manager in memory.
import { parseAuthorityDocument } from '../../../../lambdas/identity/authority/document.ts'
import type { RootKeys } from '../../../../lambdas/identity/authority/root-keys.ts'
import type { LogRecord } from '../../../../lambdas/identity/log.ts'
import { createCheck } from '../../../../lambdas/rotation/check.ts'
import type { RotationOptions } from '../../../../lambdas/rotation/rotation.ts'
import { createSecret, finishSecret, setSecret, testSecret } from '../../../../lambdas/rotation/steps.ts'
import { directClient, type Interrupt } from '../../../fakes/aws/secrets-manager.ts'
import { SecretsStore } from '../../../fakes/aws/secrets-store.ts'
import { createClock, createMemoryRootKeys, createTools, random, TRUST_DOMAIN } from '../identity/support.ts'

export const UNBORN = '{"state":"unborn"}'
export const STEPS = [createSecret, setSecret, testSecret, finishSecret]
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

export function setUp(value = UNBORN, rootKeys: RootKeys = createMemoryRootKeys()) {
  const clock = createClock()
  const store = new SecretsStore(value)
  const log: LogRecord[] = []
  let tools = createTools(rootKeys)
  const options = (token: string, interrupt?: Interrupt): RotationOptions => ({
    client: directClient(store, interrupt),
    secretId: 'issuing',
    token,
    tools,
    check: createCheck({ trustDomain: TRUST_DOMAIN, random }),
    clock: clock.now,
    log: (record) => log.push(record),
  })
  return {
    clock,
    store,
    log,
    tools: () => tools,
    /** As when SALLYPORT_ROOT_KEYS changes. */
    configure(others: RootKeys) {
      tools = createTools(others)
    },
    options,
    rotate: async (token = store.beginRotation()) => {
      for (const step of STEPS) await step(options(token))
      return token
    },
    document: () => parseAuthorityDocument(store.current),
    pending: () =>
      parseAuthorityDocument(store.versions.get(store.holderOf('AWSPENDING') ?? '')?.value ?? ''),
    events: (event: string) => log.filter((record) => record.event === event),
  }
}
