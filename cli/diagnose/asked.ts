// From the options of `sallyport diagnose` and a configuration to what is asked: who, for what, by which listener. What
// cannot be asked at all is wrong use, and says what could be.
import type { GatewayConfig, ListenerConfig } from '../../gateway/config/types.ts'
import { parseHost, parseHostPort } from '../../gateway/destinations/host.ts'
import { canonicalAddress } from '../../gateway/upstream/address-class.ts'
import { parseSpiffeId, SpiffeIdError } from '../../spiffe/id.ts'
import type { Asked } from './types.ts'

export interface DiagnoseOptions {
  readonly workload?: string | undefined
  readonly network?: string | undefined
  readonly to: string
  readonly listener?: string | undefined
  readonly sourceIp?: string | undefined
  readonly serverName?: string | undefined
}

/** The command was used wrongly; the message says how it should be. */
export class UsageError extends Error {}

/** @throws UsageError */
export function readAsked(options: DiagnoseOptions, config: GatewayConfig): Asked {
  const to = parseHostPort(options.to)
  if (!to.ok) throw new UsageError(`--to: ${to.message}, such as api.bank.example:443`)
  const principal = readPrincipal(options, config)
  const listener = readListener(options.listener, principal.kind, config)
  const sourceIp = canonicalAddress(options.sourceIp ?? '127.0.0.1')
  if (sourceIp === null) throw new UsageError('--source-ip: expected an IP address')
  return { principal, host: to.host, port: to.port, listener, sourceIp, serverName: readServerName(options) }
}

export function readPrincipal(
  { workload, network }: Pick<DiagnoseOptions, 'workload' | 'network'>,
  config: { readonly networks: readonly { readonly name: string }[] },
): Asked['principal'] {
  if ((workload === undefined) === (network === undefined)) {
    throw new UsageError('say who asks: --workload spiffe://… or --network NAME')
  }
  if (network !== undefined) {
    const names = config.networks.map(({ name }) => name)
    if (names.includes(network)) return { kind: 'network', name: network }
    throw new UsageError(`--network: there is no ${network}; the configuration has ${list(names)}`)
  }
  try {
    return { kind: 'workload', id: parseSpiffeId(workload ?? '') }
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error
    throw new UsageError(
      `--workload: expected a SPIFFE ID such as spiffe://example.org/payments/api: ${error.message}`,
    )
  }
}

/** Networks come in by `passthrough` alone, and workloads by all others. */
function readListener(
  name: string | undefined,
  kind: 'workload' | 'network',
  { listeners }: GatewayConfig,
): ListenerConfig {
  const possible = listeners.filter(({ protocol }) => (protocol === 'passthrough') === (kind === 'network'))
  const names = list(possible.map((listener) => listener.name))
  const chosen = name === undefined ? possible[0] : possible.find((listener) => listener.name === name)
  if (chosen !== undefined) return chosen
  if (name === undefined) throw new UsageError(`no listener lets a ${kind} in`)
  throw new UsageError(`--listener: no ${name} that lets a ${kind} in; the configuration has ${names}`)
}

function readServerName({ serverName }: DiagnoseOptions): string | null {
  if (serverName === undefined) return null
  const host = parseHost(serverName)
  if (!host.ok) throw new UsageError(`--server-name: ${host.message}`)
  if (host.kind === 'address') throw new UsageError('--server-name: no ClientHello names an address')
  return host.host
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}
