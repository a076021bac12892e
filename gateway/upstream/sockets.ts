// How sockets of the way out end without leaving anything behind.
import type { EventEmitter } from 'node:events'

const ignore = (): void => {}

/**
 * Keeps an `error` that nobody waits for any more from ending the process. Stays for the socket's life: a reset may
 * arrive long after the failure that made us give the socket up.
 */
export function ignoreErrors(emitter: EventEmitter): void {
  emitter.on('error', ignore)
}

/** `203.0.113.9:443`, `[2001:db8::1]:443`. */
export function formatEndpoint(endpoint: { readonly address: string; readonly port: number }): string {
  const { address, port } = endpoint
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
