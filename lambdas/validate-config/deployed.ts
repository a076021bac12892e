// What was deployed around the gateway, and whether a configuration needs more than that: a port that no security group
// lets out, or a secret that the task may not read, would fail at the first session and not at the roll-out.
import * as z from 'zod'
import type { Fault } from '../../common/fault.ts'
import type { GatewayNeeds } from '../../gateway/config/needs.ts'

const DEPLOYED = z.object({
  listeners: z.array(z.object({ name: z.string(), port: z.int(), proxyProtocol: z.boolean() })),
  healthPort: z.int(),
  adminPort: z.int().nullable(),
  egressPorts: z.array(z.int()),
  secretArns: z.array(z.string()),
  dnsServers: z.array(z.object({ host: z.string(), port: z.int() })),
  places: z.array(z.string()),
})

export type Deployed = z.infer<typeof DEPLOYED>

/** @throws Error where it is not what the stack wrote */
export function readDeployed(text: string): Deployed {
  return DEPLOYED.parse(JSON.parse(text))
}

function listenerTexts({ listeners }: Pick<GatewayNeeds, 'listeners'>): readonly string[] {
  return listeners.map(({ name, port, proxyProtocol }) => {
    return `listener ${name} on port ${port} ${proxyProtocol ? 'with' : 'without'} PROXY protocol`
  })
}

function texts(
  needs: Omit<GatewayNeeds, 'trustDomain' | 'policyFiles' | 'drain' | 'connections'>,
): readonly string[] {
  return [
    ...listenerTexts(needs),
    `health port ${needs.healthPort}`,
    ...(needs.adminPort === null ? [] : [`admin port ${needs.adminPort}`]),
    ...needs.egressPorts.map((port) => `port ${port}`),
    ...needs.secretArns.map((arn) => `secret ${arn}`),
    ...needs.places,
    ...needs.dnsServers.map(({ host, port }) => `DNS server ${host}:${port}`),
  ]
}

/** One fault for each thing that only a deployment can give. A listener that is gone needs one too: it would be unhealthy. */
export function findMissing(needs: GatewayNeeds, deployed: Deployed, file: string): readonly Fault[] {
  const given = new Set(texts(deployed))
  const wanted = texts(needs)
  const remedy = 'deploy the stacks with this configuration'
  const toFault = (message: string): Fault => ({ file, line: null, key: null, message, remedy })
  const missing = wanted.filter((text) => !given.has(text)).map((text) => toFault(`needs-deploy: ${text}`))
  const listeners = new Set(listenerTexts(needs))
  const gone = listenerTexts(deployed).filter((text) => !listeners.has(text))
  return [...missing, ...gone.map((text) => toFault(`needs-deploy: no ${text}`))]
}
