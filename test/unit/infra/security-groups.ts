// Which way a connection can go through the security groups of templates: both ends must let it pass, the one that sends out
// and the one that takes in, by rules in the group or beside it.
import type { Resource } from './support.ts'

/** A network in CIDR form, or a group as templates refer to it. */
export type End = string

interface Rule {
  readonly group: End
  readonly peer: End
  readonly protocol: string
  readonly from: number
  readonly to: number
}

interface Written {
  readonly IpProtocol: string
  readonly FromPort?: number
  readonly ToPort?: number
  readonly CidrIp?: string
  readonly SourceSecurityGroupId?: unknown
  readonly DestinationSecurityGroupId?: unknown
  readonly GroupId?: unknown
}

export interface Groups {
  readonly ingress: readonly Rule[]
  readonly egress: readonly Rule[]
}

/** The logical id in a reference to a group. */
export function endOf(value: unknown): End {
  const text = JSON.stringify(value ?? null)
  return /"Fn::GetAtt":\["(\w+)","GroupId"\]/.exec(text)?.[1] ?? text
}

function toRule(group: End, written: Written): Rule {
  const { IpProtocol: protocol, FromPort: from = 0, ToPort: to = 65_535, CidrIp } = written
  const peer = CidrIp ?? endOf(written.SourceSecurityGroupId ?? written.DestinationSecurityGroupId)
  return { group, peer, protocol, from, to }
}

export function readGroups(resources: Readonly<Record<string, Resource>>): Groups {
  const entries = Object.entries(resources)
  const inline = (key: string) =>
    entries
      .filter(([, { Type }]) => Type === 'AWS::EC2::SecurityGroup')
      .flatMap(([id, { Properties }]) =>
        ((Properties[key] ?? []) as Written[]).map((rule) => toRule(id, rule)),
      )
  const beside = (type: string) =>
    entries
      .filter(([, { Type }]) => Type === type)
      .map(([, { Properties }]) => Properties as unknown as Written)
      .map((rule) => toRule(endOf(rule.GroupId), rule))
  return {
    ingress: [...inline('SecurityGroupIngress'), ...beside('AWS::EC2::SecurityGroupIngress')],
    egress: [...inline('SecurityGroupEgress'), ...beside('AWS::EC2::SecurityGroupEgress')],
  }
}

function permits(rules: readonly Rule[], group: End, peer: End, port: number): boolean {
  return rules.some(
    (rule) =>
      rule.group === group &&
      rule.peer === peer &&
      ['tcp', '-1'].includes(rule.protocol) &&
      rule.from <= port &&
      port <= rule.to,
  )
}

/** A network has no rules of its own here: of what is outside nothing is known. */
export function canConnect({ ingress, egress }: Groups, from: End, to: End, port: number): boolean {
  const isNetwork = (end: End) => end.includes('/')
  const out = isNetwork(from) || permits(egress, from, to, port)
  return out && (isNetwork(to) || permits(ingress, to, from, port))
}
