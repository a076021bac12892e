// One object for one certificate, however many connections show it. Every connection of a workload comes with the same leaf
// and issuing CA, and Node makes new objects of them each time: as one object they are held once, read once (spiffe/ keeps
// what it read by object) and their signatures are verified once.
import type { X509Certificate } from 'node:crypto'
import { LRUCache } from 'lru-cache'

const MAX_CERTIFICATES = 4096
/** Of all of them. Those of peers that OpenSSL has verified alone come here, but what they send besides is theirs to choose. */
const MAX_BYTES = 8 * 1024 * 1024

const known = new LRUCache<string, X509Certificate>({
  max: MAX_CERTIFICATES,
  maxSize: MAX_BYTES,
  sizeCalculation: ({ raw }) => raw.length,
})

/** The certificates of a chain that was verified, each as the first object that was made of it. Equal is who has the SHA-256. */
export function pooled(chain: readonly X509Certificate[]): readonly X509Certificate[] {
  return chain.map((certificate) => {
    const { fingerprint256 } = certificate
    const found = known.get(fingerprint256)
    if (found !== undefined) return found
    known.set(fingerprint256, certificate)
    return certificate
  })
}
