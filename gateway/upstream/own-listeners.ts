// The ports on which the gateway itself listens: to dial one of them is a loop, in which one request becomes as many as
// there are ports, or a way around a listener's own rules. What is added comes from the gateway's own sockets.
import os from 'node:os'

export interface OwnListeners {
  /** A socket that listens, by its real port; `0.0.0.0` and `::` stand for every address of this host. */
  readonly add: (address: { readonly host: string; readonly port: number }) => void
  /** It listens no more. */
  readonly delete: (address: { readonly host: string; readonly port: number }) => void
  /** Whether a connection to this canonical address and port would come back. */
  readonly has: (address: string, port: number) => boolean
}

export interface OwnListenersOptions {
  /** The addresses of this host, without zones. Default: those that its interfaces have now. */
  readonly hostAddresses?: () => readonly string[]
}

export function createOwnListeners(options: OwnListenersOptions = {}): OwnListeners {
  const { hostAddresses = interfaceAddresses } = options
  const byPort = new Map<number, Set<string>>()
  return {
    add({ host, port }) {
      const hosts = byPort.get(port) ?? new Set()
      byPort.set(port, hosts.add(host))
    },
    delete({ host, port }) {
      const hosts = byPort.get(port)
      hosts?.delete(host)
      if (hosts?.size === 0) byPort.delete(port)
    },
    has(address, port) {
      const hosts = byPort.get(port)
      if (hosts === undefined) return false
      if (hosts.has(address)) return true
      const isV4 = !address.includes(':')
      // Node opens `::` for both families.
      if (!hosts.has('::') && !(isV4 && hosts.has('0.0.0.0'))) return false
      // Asked anew each time, since interfaces come and go, and only where the port is one of ours.
      return address.startsWith('127.') || hostAddresses().includes(address)
    },
  }
}

function interfaceAddresses(): readonly string[] {
  return Object.values(os.networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? [])
}
