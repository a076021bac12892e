// What the gateway shows and whom it believes, as it is now. Read anew at each handshake and each tunnel, replaced as a
// whole when files change; a replacement that cannot be read keeps what is there.
import { checkX509SvidLeaf } from '../spiffe/x509-svid.ts'
import type { KeyPair, TrustMaterial } from './config/types.ts'

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

const ids = new WeakMap<KeyPair, string>()

/** The gateway's own SPIFFE ID; `identity` was found to be an SVID when it was read. */
export function ownId(identity: KeyPair): string {
  const id = ids.get(identity) ?? checkX509SvidLeaf(identity.leaf).uri
  ids.set(identity, id)
  return id
}
