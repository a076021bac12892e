// Walks the way of a session for `sallyport diagnose`, with the gateway's own parts: match, decide, resolve, classify,
// connect, startTls, TLS, confirm. It judges nothing itself; what it adds is what each part found.
import type { GatewayConfig } from '../../gateway/config/types.ts'
import { compileDestinations, reachable, targetOf } from '../../gateway/destinations/match.ts'
import { singleTargets } from '../../gateway/listeners/preset.ts'
import { ownNetwork } from '../../gateway/upstream/address-class.ts'
import { describePolicy } from '../../gateway/policy/describe.ts'
import type { NamedPolicy } from '../../gateway/policy/rules.ts'
import type { Decision, Policy } from '../../gateway/policy/types.ts'
import { describeRevocation, type RevocationList } from '../../gateway/revocations/list.ts'
import { titleOf } from '../policy/explain-show.ts'
import { Journal } from './journal.ts'
import type { Asked, Diagnosis } from './types.ts'
import { goOut, type WayOut } from './way-out.ts'

export interface WalkOptions extends WayOut {
  readonly config: GatewayConfig
  readonly policy: Policy
  /** Null where the configuration has no list. */
  readonly revocations: RevocationList | null
  readonly policies: readonly NamedPolicy[]
  readonly asked: Asked
  readonly now: () => Date
}

/** Ends at the first "no", as the gateway would. */
export async function walk(options: WalkOptions): Promise<Diagnosis> {
  const journal = new Journal(options.asked, ownNetwork(options.config.vpcCidrs))
  const found = judgeListener(options, journal) ?? judgeDestination(options, journal)
  if ('ok' in found) return found
  const { destination } = found
  const target = targetOf(destination, options.asked)
  const refusal =
    judgeRevocations(options, destination.name, journal) ?? judgePolicy(options, found, target, journal)
  return refusal ?? goOut(options, { ...options.asked, ...target }, destination, journal)
}

function judgeListener({ config, asked }: WalkOptions, journal: Journal): Diagnosis | null {
  const { principal, listener } = asked
  if (principal.kind === 'workload') {
    const { trustDomain } = principal.id
    if (!listener.trustDomains.includes(trustDomain)) {
      const taken = listener.trustDomains.join(', ')
      journal.tell('listener', 'no', [`${listener.name} (${listener.protocol}) takes IDs of ${taken} alone`])
      const advice = `list ${trustDomain} in trustDomains of listener ${listener.name}, with a bundle in trust`
      return journal.refused('client-trust-domain-unknown', null, advice)
    }
  }
  const presets = presetTargets(config, asked)
  if (presets !== null && !presets.includes(`${asked.host}:${asked.port}`)) {
    const leads = presets.length === 0 ? 'nowhere' : `to ${presets.join(', ')} alone`
    journal.tell('listener', 'no', [`${listener.name} (${listener.protocol}) leads ${leads}`])
    return journal.refused(
      'destination-unknown',
      null,
      `use another --listener, or ask --to for where ${listener.name} leads`,
    )
  }
  journal.tell('listener', 'ok', [`${listener.name} (${listener.protocol})`])
  return null
}

/** Where a listener leads on which the client names nothing itself; null for all others. */
function presetTargets(config: GatewayConfig, { listener }: Asked): readonly string[] | null {
  if (listener.protocol !== 'fixed' && listener.protocol !== 'sni') return null
  const names = listener.protocol === 'fixed' ? [listener.destination] : [...listener.serverNames.values()]
  const single = singleTargets(config.destinations)
  const targets = names.map((name) => (name === null ? null : single(name)))
  return targets.filter((target) => target !== null).map(({ host, port }) => `${host}:${port}`)
}

function judgeDestination({ config, asked }: WalkOptions, journal: Journal) {
  const { host, port, listener } = asked
  const { match } = compileDestinations(config.destinations)
  const any = match(host, port)
  const destination = reachable(any, listener.protocol === 'passthrough')
  if (destination !== null) {
    journal.destination = destination.name
    const { name, tls, startTls } = destination
    const target = targetOf(destination, asked)
    const meant =
      target === asked ? [] : [`asked for as ${host}:${port}, which means ${target.host}:${target.port}`]
    const spoken = startTls === null ? '' : ` after startTls: ${startTls}`
    journal.tell('destination', 'ok', [`${name}, tls: ${tls}${spoken}`, ...meant])
    return { destination }
  }
  const { note, advice } = whyUnknown(config, asked, any?.name ?? null)
  journal.tell('destination', 'no', [note])
  return journal.refused('destination-unknown', null, advice)
}

/** What is nearest to a match: a name that is reached otherwise, or the host on another port. */
function whyUnknown({ destinations }: GatewayConfig, { host, port, listener }: Asked, other: string | null) {
  if (other !== null) {
    return {
      note: `${other} has it, but is not tls: passthrough, and passthrough listeners lead to no other`,
      advice: `let the client come in by another listener than ${listener.name}`,
    }
  }
  const others = destinations.flatMap((destination) => {
    const { match } = compileDestinations([destination])
    return destination.ports
      .filter((one) => match(host, one) !== null)
      .map((one) => `${destination.name} on ${one}`)
  })
  if (others.length > 0) {
    return {
      note: `no destination has this host on port ${port}: ${others.join(', ')}`,
      advice: `ask for one of these ports, or add ${port} to the ports of the destination`,
    }
  }
  return { note: `no destination has ${host}:${port}`, advice: null }
}

function judgeRevocations(
  { revocations, asked, now }: WalkOptions,
  destination: string,
  journal: Journal,
): Diagnosis | null {
  if (revocations === null) return null
  const workload = asked.principal.kind === 'workload' ? asked.principal.id : null
  // A serial number and a token are of one connection, and here is none.
  const found = revocations.find({ workload, destination, serialNumber: '', tokenId: null }, now())
  if (found === null) {
    journal.tell('revocations', 'ok', ['no entry names the caller or the destination'])
    return null
  }
  const detail = describeRevocation(found.entry)
  journal.tell('revocations', 'no', [detail])
  return journal.refused(found.code, detail)
}

function judgePolicy(
  { policy, policies: known, asked, now }: WalkOptions,
  { destination }: { readonly destination: GatewayConfig['destinations'][number] },
  target: { readonly host: string; readonly port: number },
  journal: Journal,
): Diagnosis | null {
  const { principal, listener, sourceIp } = asked
  const startedAt = performance.now()
  const { host, port } = target
  const decision = policy.decide({
    ...{ principal, destination, host, port },
    // A certificate's serial number and a VPC endpoint are of one connection, and here is none.
    context: { now: now(), sourceIp, listener: listener.name, serialNumber: '' },
  })
  const ms = performance.now() - startedAt
  const { result, code, error, policies } = decision
  const titles = known.filter(({ id }) => policies.includes(id)).map((one) => titleOf(describePolicy(one)))
  const by = titles.length === 0 ? 'no policy permits it' : `by ${titles.join(', ')}`
  const denied = code === null ? `let through by mode report, and would be denied: ${by}` : `denied: ${by}`
  const said = result === 'allow' ? `allowed ${by}` : (error ?? denied)
  journal.tell('policy', code === null ? 'ok' : 'no', [said], ms)
  return code === null ? null : journal.refused(code, error, adviceOf(decision, asked, destination.name))
}

function adviceOf({ code, policies }: Decision, { principal }: Asked, destination: string): string | null {
  if (code !== 'policy-denied') return null
  const who =
    principal.kind === 'workload' ? `Workload::"${principal.id.uri}"` : `Network::"${principal.name}"`
  return policies.length === 0
    ? `add a permit for ${who} and Destination::"${destination}" to the policy`
    : `the forbid ${policies.join(', ')} applies: ask its @owner, or narrow it`
}
