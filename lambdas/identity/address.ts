// Listener addresses, `host:port` or `[::1]:port`.
import { isIP } from 'node:net'

export interface ListenAddress {
  readonly host: string
  readonly port: number
  readonly loopback: boolean
}

/** Null where the text is no address. Port 0 picks a free port. */
export function parseListenAddress(text: string): ListenAddress | null {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || port > 65_535) return null
  if (bracketed !== undefined && isIP(bracketed) !== 6) return null
  const loopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
  return { host, port, loopback }
}

/** `host:port`, with brackets where the host is IPv6. */
export function formatListenAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
