// How sockets of the way out end without leaving anything behind.
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { resetConnection } from '../reset-connection.ts'

const ignore = (): void => {}

/**
 * Keeps an `error` that nobody waits for any more from ending the process. Stays for the socket's life: a reset may
 * arrive long after the failure that made us give the socket up.
 */
export function ignoreErrors(emitter: EventEmitter): void {
  emitter.on('error', ignore)
}

/** Ends a raw socket so that the peer sees a reset, also where TLS lies above it (nodejs/node#49484). */
export function resetSocket(raw: Socket): void {
  // resetAndDestroy() on a socket that is still connecting waits for the connection, which may never come.
  if (raw.connecting || raw.destroyed) raw.destroy()
  else resetConnection(raw)
}

/** `203.0.113.9:443`, `[2001:db8::1]:443`. */
export function formatEndpoint(endpoint: { readonly address: string; readonly port: number }): string {
  const { address, port } = endpoint
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
