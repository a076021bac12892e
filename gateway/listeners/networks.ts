// Which network a connection comes from, for workloads that can show no identity (`networks`). What came by a VPC endpoint
// is known by that endpoint alone: the addresses behind it are those of somebody else's VPC, who chooses them, and may
// well be those of a range here. Of ranges the closest one wins, so that the order of the file decides nothing.
import ipaddr from 'ipaddr.js'
import type { SourceFacts } from '../audit/events.ts'
import type { Network } from '../config/types.ts'
import type { Identity } from './identify.ts'

export type IdentifyNetwork = (source: SourceFacts) => Identity

interface Range {
  readonly network: ipaddr.IPv4 | ipaddr.IPv6
  readonly bits: number
  readonly name: string
}

export function createIdentifyNetwork(networks: readonly Network[]): IdentifyNetwork {
  const endpoints = new Map(
    networks.flatMap(({ name, vpcEndpoints }) => vpcEndpoints.map((id) => [id, name])),
  )
  const ranges = networks
    .flatMap(({ name, sources }) => sources.map((text) => toRange(text, name)))
    .toSorted((a, b) => b.bits - a.bits)
  return ({ ip, vpcEndpoint }) => {
    const name = vpcEndpoint === null ? find(ranges, ip) : endpoints.get(vpcEndpoint)
    if (name === undefined) return { ok: false, code: 'client-network-unknown', detail: null }
    return {
      ok: true,
      principal: { kind: 'network', name },
      credential: 'network',
      serialNumber: '',
      tokenId: null,
      tokenKeyId: null,
      expiresAt: null,
      chain: [],
    }
  }
}

function toRange(text: string, name: string): Range {
  const [network, bits] = ipaddr.parseCIDR(text)
  return { network, bits, name }
}

function find(ranges: readonly Range[], ip: string): string | undefined {
  if (!ipaddr.isValid(ip)) return undefined
  const address = ipaddr.process(ip)
  return ranges.find(
    ({ network, bits }) => network.kind() === address.kind() && address.match([network, bits]),
  )?.name
}
