// Which of some connections a TLS socket lies over: tls.Server's events do not say. They are told apart by the peer's
// address and port, and by our own where one peer has the same port open to several of our addresses: each is a question
// to the kernel. Every connection whose TLS socket may still speak must be in it.
import type { Socket } from 'node:net'

export class ByAddress<Item extends { readonly raw: Socket }> {
  readonly #items = new Map<string, readonly Item[]>()

  add(item: Item): void {
    const key = peerOf(item.raw)
    this.#items.set(key, [...(this.#items.get(key) ?? []), item])
  }

  delete(item: Item): void {
    const key = peerOf(item.raw)
    const others = (this.#items.get(key) ?? []).filter((other) => other !== item)
    if (others.length === 0) this.#items.delete(key)
    else this.#items.set(key, others)
  }

  find(tls: Socket): Item | null {
    const items = this.#items.get(peerOf(tls))
    const [first] = items ?? []
    if (items === undefined || first === undefined) return null
    if (items.length === 1) return first
    const { localAddress, localPort } = tls
    // The newest: one before it may have lost the same pair of ports a moment ago.
    return (
      items.findLast(({ raw }) => raw.localAddress === localAddress && raw.localPort === localPort) ?? null
    )
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}|${remotePort}`
}
