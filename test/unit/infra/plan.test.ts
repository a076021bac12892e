// Configurations that would deploy, and then cut sessions or take none, are refused at synth.
import { expect, test } from 'vitest'
import { planServices, type PlanOptions } from '../../../infra/gateway/plan.ts'

const listener = (name: string, port: number) => ({ name, port, proxyProtocol: true })
const six = ['a', 'b', 'c', 'd', 'e', 'f'].map((name, index) => listener(name, 8443 + index))

const good: PlanOptions = {
  needs: {
    listeners: [listener('proxy', 8443), listener('mesh', 15008)],
    healthPort: 9902,
    adminPort: 9901,
    drain: { delayMs: 0, deadlineMs: 110_000 },
    connections: 20_000,
    places: ['the directory /var/lib/sallyport'],
  },
  operators: [],
  services: null,
  stopTimeoutSeconds: 120,
  openFiles: 65_536,
  blueGreen: false,
}
const withNeeds = (needs: Partial<PlanOptions['needs']>): PlanOptions => ({
  ...good,
  needs: { ...good.needs, ...needs },
})

test('all listeners are in one service unless settings group them', () => {
  expect(planServices(good).map((group) => group.map(({ name }) => name))).toEqual([['proxy', 'mesh']])
  const grouped = planServices({ ...good, services: [['mesh'], ['proxy']] })
  expect(grouped.map((group) => group.map(({ name }) => name))).toEqual([['mesh'], ['proxy']])
})

test.each<[string, PlanOptions, RegExp]>([
  [
    'six listeners in one service',
    withNeeds({ listeners: six }),
    /expected at most 5 listeners in a service, got 6/,
  ],
  [
    'a listener without PROXY protocol',
    withNeeds({ listeners: [{ ...listener('raw', 9443), proxyProtocol: false }] }),
    /of listener raw, got none/,
  ],
  [
    'a delay before the drain',
    withNeeds({ drain: { delayMs: 15_000, deadlineMs: 100_000 } }),
    /expected drain\.delay of 0s, got 15000 ms/,
  ],
  [
    'a drain as long as stopTimeout',
    withNeeds({ drain: { delayMs: 0, deadlineMs: 120_000 } }),
    /expected drain\.deadline of 112 s at most, got 120 s/,
  ],
  ...[
    'audit records in the file audit.log',
    'checkpoints in my-bucket',
    'revocations from appconfig:a/b/c',
    'the directory /var/lib/other',
  ].map((place): [string, PlanOptions, RegExp] => [
    `gateway.yaml naming ${place}`,
    withNeeds({ places: [place] }),
    new RegExp(`got ${place}: the deployment says these`),
  ]),
  [
    'three listeners in one service that is deployed blue and green',
    { ...withNeeds({ listeners: six.slice(0, 3) }), blueGreen: true },
    /expected at most 2 listeners in a service, got 3/,
  ],
  ['more connections than files', { ...good, openFiles: 40_000 }, /expected openFiles of 41024 .*got 40000/],
  [
    'a listener in no service',
    { ...good, services: [['proxy']] },
    /expected listener mesh in one service, got 0/,
  ],
  [
    'a listener in two services',
    { ...good, services: [['proxy', 'mesh'], ['mesh']] },
    /expected listener mesh in one service, got 2/,
  ],
  [
    'a name that is no listener',
    { ...good, services: [['proxy', 'mesh', 'mehs']] },
    /expected names of listeners in services, got mehs/,
  ],
])('%s', (_name, options, message) => {
  expect(() => planServices(options)).toThrow(message)
})
