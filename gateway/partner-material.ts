// What a destination is when a part of its certificates, keys and roots was renewed, and whether a part is another than before.
import { createHash } from 'node:crypto'
import type { PartnerMaterial, PartnerPart } from './config/partners.ts'
import type { Destination } from './config/types.ts'

/** Another value; the old one stays what it was. */
export function withMaterial(
  destination: Destination,
  [part, material]: readonly [PartnerPart, PartnerMaterial],
): Destination {
  if (material.kind === 'roots') return { ...destination, roots: material.roots }
  const { keyPair } = material
  return {
    ...destination,
    clientCertificates: destination.clientCertificates.map((entry, index) =>
      index === part.of ? { ...entry, keyPair } : entry,
    ),
  }
}

/** For the log. */
export function describeMaterial(material: PartnerMaterial) {
  if (material.kind === 'roots') return { roots: material.roots.length }
  const { leaf, leafSha256 } = material.keyPair
  return { notAfter: leaf.validToDate.toISOString(), sha256: leafSha256 }
}

/** Of what the destination has now; empty where it has no such part. */
export function digestOf(destination: Destination | undefined, { of }: PartnerPart): string {
  if (destination === undefined) return ''
  if (of === 'roots') {
    const { roots } = destination
    return roots === 'system' ? '' : digestOfMaterial({ kind: 'roots', roots })
  }
  const keyPair = destination.clientCertificates[of]?.keyPair
  return keyPair === undefined ? '' : digestOfMaterial({ kind: 'keyPair', keyPair })
}

/** Keys belong to certificates, so they need not be in it. */
export function digestOfMaterial(material: PartnerMaterial): string {
  const text = material.kind === 'roots' ? material.roots.join('') : material.keyPair.chainPem
  return createHash('sha256').update(text).digest('hex')
}
