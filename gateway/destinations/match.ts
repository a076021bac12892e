// Finds the destination that a requested host and port belong to. Hosts are canonical on both sides (host.ts). No part
// of the search depends on the order of the configuration: an exact name beats a suffix, a longer suffix a shorter
// one, and `*` comes last.
import { isIP } from 'node:net'
import type { Destination, HostPattern } from '../config/types.ts'

type Matched = Pick<Destination, 'name' | 'hosts' | 'ports'> & Partial<Pick<Destination, 'requestedAs'>>

export interface Matcher<D> {
  /** `host` canonical; null where no destination has this host on this port. */
  readonly match: (host: string, port: number) => D | null
}

/** Throws where two entries claim the same host and port: the configuration has refused that before. */
export function compileDestinations<D extends Matched = Destination>(list: readonly D[]): Matcher<D> {
  const table = new Map<string, D>()
  for (const destination of list) {
    const asked = (destination.requestedAs ?? []).map(({ host, port }) => `${host}:${port}`)
    const listed = destination.hosts.flatMap((host) => claims(host, destination.ports))
    for (const key of [...listed, ...asked]) {
      if (table.has(key)) throw new TypeError(`two destinations claim ${key}`)
      table.set(key, destination)
    }
  }
  return {
    match(host, port) {
      for (const key of candidates(host, port)) {
        const destination = table.get(key)
        if (destination !== undefined) return destination
      }
      return null
    },
  }
}

/**
 * What is decided about and dialled for a request that matched: the request itself, or the destination's own host and
 * port where it was asked for under an address of `requestedAs`.
 */
export function targetOf(
  { hosts, ports, requestedAs }: Pick<Destination, 'hosts' | 'ports' | 'requestedAs'>,
  requested: { readonly host: string; readonly port: number },
): { readonly host: string; readonly port: number } {
  const asked = requestedAs.some(({ host, port }) => host === requested.host && port === requested.port)
  const [host] = hosts
  const [port] = ports
  if (!asked || host === undefined || port === undefined) return requested
  return { host: textOf(host), port }
}

/**
 * What was found, or null where this listener does not reach it: where the ClientHello is the request, the client can do
 * nothing with a destination to which the gateway speaks TLS.
 */
export function reachable<D extends Pick<Destination, 'tls'>>(
  found: D | null,
  helloIsRequest: boolean,
): D | null {
  return found?.tls === 'passthrough' || !helloIsRequest ? found : null
}

/** What an entry of `hosts` claims, one text for each port; equal texts tie. */
export function claims(host: HostPattern, ports: readonly number[]): readonly string[] {
  return ports.map((port) => `${textOf(host)}:${port}`)
}

/** As it stands in the configuration, in its one spelling. */
function textOf(host: HostPattern): string {
  switch (host.kind) {
    case 'exact':
      return host.host
    case 'suffix':
      return `*.${host.suffix}`
    case 'any':
      return '*'
    case 'address':
      return host.address
  }
}

/** Every claim that covers the host, the closest first. Whole labels: `*.bank.example` is nothing to evilbank.example. */
function* candidates(host: string, port: number): Generator<string> {
  yield `${host}:${port}`
  if (isIP(host) !== 0) return
  // From the first dot on, so that a suffix never covers its own apex.
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    yield `*${host.slice(dot)}:${port}`
  }
  yield `*:${port}`
}
