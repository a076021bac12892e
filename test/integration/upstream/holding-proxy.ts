// A TCP proxy that can hold back what the server sends: it makes a server's silence, and the moment at which it ends,
// something that a test decides.
import net from 'node:net'
import { type Listening, tcpServer } from './harness.ts'

const HALF_OPEN = { allowHalfOpen: true }

export interface HoldingProxy extends Listening {
  /** Whether the server has ended its side, held back or not. */
  readonly serverEnded: () => boolean
  /** From now on everything arrives, first what was held back, in one packet. */
  release(): void
  /** Resets the gateway's connections. */
  reset(): void
}

/**
 * Holds back what the server sends after the client's second flight: in TLS 1.3 the tickets, alerts and data by which
 * it shows what it thinks of the client certificate.
 */
export async function holdingProxy(port: number): Promise<HoldingProxy> {
  let released = false
  let ended = false
  const waiting: (() => void)[] = []
  const clients = new Set<net.Socket>()
  const listening = await tcpServer((near) => {
    const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    clients.add(near)
    let flights = 0
    const deliver = (act: () => void): void => {
      if (flights < 2 || released) act()
      else waiting.push(act)
    }
    near.on('data', (chunk) => {
      flights += 1
      far.write(chunk)
    })
    near.on('close', () => clients.delete(near) && far.destroy()).on('end', () => far.end())
    far.on('data', (chunk) => deliver(() => near.write(chunk)))
    far.on('end', () => {
      ended = true
      deliver(() => near.end())
    })
    far.on('error', () => deliver(() => near.resetAndDestroy()))
  }, HALF_OPEN)
  return {
    ...listening,
    serverEnded: () => ended,
    release() {
      released = true
      for (const client of clients) client.cork()
      for (const act of waiting.splice(0)) act()
      for (const client of clients) client.uncork()
    },
    reset() {
      for (const client of clients) client.resetAndDestroy()
    },
  }
}
