// A port that cannot be had, as a fault of the key in gateway.yaml that names it.
import type { Fault } from '../../common/fault.ts'
import type { LoadedGatewayConfig } from '../config/load.ts'

const MEANINGS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens on this port',
  EACCES: 'this user may not listen on this port',
  EADDRNOTAVAIL: 'this machine has no such address',
}

/** Null where the error is something else. */
export function listenFault(
  file: string,
  { config, lineOf }: Pick<LoadedGatewayConfig, 'config' | 'lineOf'>,
  error: unknown,
): Fault | null {
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  if (syscall !== 'listen') return null
  const same = (at: { host: string; port: number }) =>
    at.port === port && (address === undefined || at.host === address)
  const index = config.listeners.findIndex((listener) => same(listener.address))
  const path =
    index >= 0 ? ['listeners', index, 'address'] : [same(config.health) ? 'health' : 'admin', 'address']
  return {
    file,
    line: lineOf(path),
    key: index >= 0 ? `listeners[${index}].address` : path.join('.'),
    message: `cannot listen on ${address}:${port}: ${MEANINGS[code ?? ''] ?? code}`,
    remedy:
      code === 'EADDRINUSE'
        ? 'stop it or choose another port; port 0 picks a free one'
        : 'choose another address',
  }
}
