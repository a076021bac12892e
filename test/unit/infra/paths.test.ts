// From a client to a listener of a task, and from the balancer to the health port, through every security group; and no
// other way in or out.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { REPOSITORY } from '../../../infra/assets.ts'
import { canConnect, endOf, type Groups, readGroups } from './security-groups.ts'
import { synthesize } from './support.ts'

const MORE = `  - { name: mesh, address: "0.0.0.0:15008", protocol: hbone, proxyProtocol: { required: true, from: [10.64.0.0/16] } }
  - { name: raw, address: "0.0.0.0:9443", protocol: passthrough, proxyProtocol: { required: true, from: [10.64.0.0/16] } }
`
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-paths-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const from = path.join(REPOSITORY, 'infra/configuration/files')
for (const name of ['gateway.yaml', 'policy.cedar', 'identity.yaml']) {
  const text = readFileSync(path.join(from, name), 'utf8')
    .replace(/^destinations:/m, `${MORE}destinations:`)
    .replace('ports: [443]', 'ports: [443, 1433]')
  writeFileSync(
    path.join(folder, name),
    `${text}${name === 'gateway.yaml' ? 'dns: { servers: ["10.64.0.2:53"] }\n' : ''}`,
  )
}
const CLIENTS = ['10.64.0.0/16', '10.80.0.0/16']
const PORTS = [8443, 9443, 15_008]
const HEALTH = 9902
const synthesized = synthesize('prod', {
  configuration: { directory: folder },
  gateway: { clients: CLIENTS, tasks: { minimum: 2, maximum: 4 } },
})
const resources = synthesized.resources('gateway')
const groups = readGroups(resources)

const one = (type: string) => {
  const [first, second] = synthesized.all(type)
  if (first === undefined || second !== undefined) throw new Error(`expected one ${type}`)
  return first.Properties
}
const balancer = one('AWS::ElasticLoadBalancingV2::LoadBalancer')
const service = one('AWS::ECS::Service')
const [front, ...moreFronts] = (balancer.SecurityGroups as unknown[]).map(endOf)
const { AwsvpcConfiguration } = service.NetworkConfiguration as {
  AwsvpcConfiguration: { SecurityGroups: unknown[] }
}
const [tasks, ...moreTasks] = AwsvpcConfiguration.SecurityGroups.map(endOf)
const [frontGroup, taskGroup] = [front ?? '', tasks ?? '']

/** Whether a client's session and the balancer's check both reach a task. */
const works = (rules: Groups, client: string, port: number) =>
  canConnect(rules, client, frontGroup, port) &&
  canConnect(rules, frontGroup, taskGroup, port) &&
  canConnect(rules, frontGroup, taskGroup, HEALTH)

test('balancer and tasks have one group each', () => {
  expect([moreFronts, moreTasks]).toEqual([[], []])
  expect(frontGroup).not.toBe(taskGroup)
})

test('each listener’s port is that of its target group, of its task, and of the way through both groups', () => {
  const portsOf = (type: string) =>
    synthesized
      .all(type)
      .map(({ Properties }) => Properties.Port)
      .toSorted((a, b) => Number(a) - Number(b))
  expect(portsOf('AWS::ElasticLoadBalancingV2::Listener')).toEqual(PORTS)
  expect(portsOf('AWS::ElasticLoadBalancingV2::TargetGroup')).toEqual(PORTS)
  const mapped = (service.LoadBalancers as { ContainerPort: number }[]).map(
    ({ ContainerPort }) => ContainerPort,
  )
  expect(mapped.toSorted((a, b) => a - b)).toEqual(PORTS)
  expect(mapped.length).toBeLessThanOrEqual(5)
  for (const client of CLIENTS)
    for (const port of PORTS)
      expect([client, port, works(groups, client, port)]).toEqual([client, port, true])
})

test('without any one of the rules, something of it does not work', () => {
  for (const side of ['ingress', 'egress'] as const) {
    for (const [index, rule] of groups[side].entries()) {
      // The way out of tasks is judged below.
      if (side === 'egress' && rule.group === taskGroup) continue
      const without = { ...groups, [side]: groups[side].toSpliced(index, 1) }
      const all = CLIENTS.every((client) => PORTS.every((port) => works(without, client, port)))
      expect([rule, all]).toEqual([rule, false])
    }
  }
})

test('no client reaches a task or the health port past the balancer', () => {
  for (const end of [...CLIENTS, '0.0.0.0/0']) {
    for (const port of [...PORTS, HEALTH, 9901]) expect(canConnect(groups, end, taskGroup, port)).toBe(false)
    expect(canConnect(groups, end, frontGroup, HEALTH)).toBe(false)
  }
})

test('tasks get out by 443, the ports of destinations and the resolvers that are named, and by nothing else', () => {
  const out = groups.egress.filter(({ group }) => group === taskGroup)
  expect(
    out.map(({ peer, protocol, from: low, to }) => `${protocol} ${low}-${to} ${peer}`).toSorted(),
  ).toEqual([
    'tcp 1433-1433 0.0.0.0/0',
    'tcp 443-443 0.0.0.0/0',
    'tcp 53-53 10.64.0.2/32',
    'udp 53-53 10.64.0.2/32',
  ])
})

test('no group of any stack lets the internet in, or everything out', () => {
  const all = ['network', 'identity', 'configuration', 'gateway', 'observability'].map((part) =>
    readGroups(synthesized.resources(part)),
  )
  const inward = all.flatMap(({ ingress }) => ingress)
  expect(inward.length).toBeGreaterThan(PORTS.length)
  expect(inward.filter(({ peer, protocol }) => peer.endsWith('/0') || protocol !== 'tcp')).toEqual([])
  expect(inward.filter(({ from: low, to }) => low !== to)).toEqual([])
  // To this address goes CDK's rule of a group that lets nothing out.
  const outward = all.flatMap(({ egress }) => egress).filter(({ peer }) => peer !== '255.255.255.255/32')
  expect(outward.filter(({ protocol, from: low, to }) => protocol === '-1' || low !== to)).toEqual([])
})
