// What the gateway shows and whom it believes, as it is now. Read anew at each handshake and each tunnel, replaced as a
// whole when files change; a replacement that cannot be read keeps what is there.
import type { TrustMaterial } from './config/types.ts'

export interface TrustStore {
  current(): TrustMaterial
  /** Called with each replacement, until what it returns is called. */
  onChange(listener: (material: TrustMaterial) => void): () => void
  replace(material: TrustMaterial): void
}

export function createTrustStore(initial: TrustMaterial): TrustStore {
  let material = initial
  const listeners = new Set<(material: TrustMaterial) => void>()
  return {
    current: () => material,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    replace(next) {
      material = next
      for (const listener of listeners) listener(next)
    },
  }
}
