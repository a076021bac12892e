// Which of some connections a TLS socket lies over: tls.Server's events do not say. They are told apart by the peer's
// address and port, and by our own where one peer has the same port open to several of our addresses: each is a question
// to the kernel. Every connection whose TLS socket may still speak must be in it.
import type { Socket } from 'node:net'

export class ByAddress<Item extends { readonly raw: Socket; readonly peer: string }> {
  readonly #items = new Map<string, readonly Item[]>()

  add(item: Item): void {
    const others = this.#items.get(item.peer)
    this.#items.set(item.peer, others === undefined ? [item] : [...others, item])
  }

  delete(item: Item): void {
    const others = (this.#items.get(item.peer) ?? []).filter((other) => other !== item)
    if (others.length === 0) this.#items.delete(item.peer)
    else this.#items.set(item.peer, others)
  }

  find(tls: Socket): Item | null {
    const items = this.#items.get(peerOf(tls))
    if (items === undefined) return null
    if (items.length === 1) return items[0] ?? null
    const { localAddress, localPort } = tls
    // The newest: one before it may have lost the same pair of ports a moment ago.
    return (
      items.findLast(({ raw }) => raw.localAddress === localAddress && raw.localPort === localPort) ?? null
    )
  }
}

/** What `peer` of an item is, by its own socket. */
export function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}|${remotePort}`
}
