// What the schema cannot say of trust and networks: whom the gateway can let in at all, and that nothing is said twice.
import type { KeyPath } from '../../common/schema-faults.ts'
import type { RuleContext } from './rules.ts'
import type { GatewayDocument } from './schema.ts'

export function checkTrustRules(document: GatewayDocument, context: RuleContext): void {
  checkTrust(document, context)
  checkReserved(document, context)
  checkNetworks(document, context)
  checkEndpointsToldOf(document, context)
}

type Trusting = Pick<GatewayDocument, 'trustDomain' | 'trust'>

/** Trust domains that have a bundle: their X.509-SVIDs and tokens can be verified. */
export function bundledTrustDomains({ trustDomain, trust }: Trusting): readonly string[] {
  return [trustDomain, ...trust.flatMap((entry) => entry.trustDomain ?? [])]
}

/** Trust domains into which Linkerd's names are mapped. */
export function mappedTrustDomains({ trust }: Trusting): readonly string[] {
  const mapped = trust.flatMap(({ linkerd }) => Object.values(linkerd?.map ?? {}))
  return mapped.map((id) => /^spiffe:\/\/([^/]+)/.exec(id)?.[1] ?? '')
}

/** Those of all workloads that can be let in. */
export function knownTrustDomains(document: Trusting): readonly string[] {
  return [...new Set([...bundledTrustDomains(document), ...mappedTrustDomains(document)])]
}

function checkTrust({ trustDomain, trust }: GatewayDocument, { report }: RuleContext): void {
  const seen = new Set([trustDomain])
  let linkerd = 0
  for (const [index, entry] of trust.entries()) {
    if (entry.linkerd !== undefined && ++linkerd > 1) {
      report(['trust', index, 'linkerd'], 'stands here twice', 'put all entries into one map')
    }
    if (entry.trustDomain === undefined) continue
    if (seen.has(entry.trustDomain)) {
      const path = ['trust', index, 'trustDomain']
      report(path, `${entry.trustDomain} has a bundle already`, 'remove one of them')
    }
    seen.add(entry.trustDomain)
  }
}

/** Everything under /sallyport/ of its own trust domain is the gateway and those who run it, whom no mesh may name. */
function checkReserved({ trustDomain, trust }: GatewayDocument, { report }: RuleContext): void {
  for (const [index, { linkerd }] of trust.entries()) {
    for (const [name, id] of Object.entries(linkerd?.map ?? {})) {
      const [, , of, first = ''] = id.split('/')
      if (of !== trustDomain || !(first === 'sallyport' || first.startsWith('{'))) continue
      report(
        ['trust', index, 'linkerd', 'map', name],
        `could name workloads under spiffe://${trustDomain}/sallyport/, which are reserved`,
        'begin the path with a word of its own',
      )
    }
  }
}

/** The closest range wins; between two of one length, and for one endpoint in two networks, nothing would decide. */
function checkNetworks({ networks }: GatewayDocument, { report }: RuleContext): void {
  const owners = new Map<string, number>()
  for (const [index, { name, sources, vpcEndpoints }] of networks.entries()) {
    if (networks.findIndex((other) => other.name === name) < index) {
      report(['networks', index, 'name'], `"${name}" stands here twice`, 'choose another name')
    }
    for (const [key, list] of Object.entries({ sources, vpcEndpoints })) {
      for (const [place, value] of list.entries()) {
        const owner = owners.get(value)
        const path: KeyPath = ['networks', index, key, place]
        if (owner === index) report(path, `${value} stands here twice`, 'remove one of them')
        else if (owner !== undefined) {
          report(path, `${value} is also of "${networks[owner]?.name}"`, 'remove one of them')
        }
        owners.set(value, index)
      }
    }
  }
}

/** Without a PROXY header there is no endpoint, so that nobody would ever be of such a network. */
function checkEndpointsToldOf({ networks, listeners }: GatewayDocument, { report }: RuleContext): void {
  const passthrough = listeners.filter(({ protocol }) => protocol === 'passthrough')
  const told = passthrough.some(({ proxyProtocol }) => proxyProtocol?.required === true)
  if (told || passthrough.length === 0) return
  for (const [index, { vpcEndpoints }] of networks.entries()) {
    if (vpcEndpoints.length === 0) continue
    report(
      ['networks', index, 'vpcEndpoints'],
      'VPC endpoints are told by PROXY protocol alone, and no passthrough listener has proxyProtocol',
      'add proxyProtocol to it',
    )
  }
}
