// What may differ between a pending document and the current one in the keys that are published. Verifiers remember the
// highest sequence that they saw, and some of them hold SVIDs of keys that only the document can still vouch for.
import { X509Certificate } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import type { AuthorityDocument } from '../identity/authority/document.ts'
import type { AuthorityState } from '../identity/authority/state.ts'

/** The published keys by a name that nothing else has, each with its removal. */
function keysOf(document: AuthorityDocument): ReadonlyMap<string, string | null> {
  return new Map([
    ...document.roots.map(
      ({ certificate, removeAfter }) =>
        [new X509Certificate(certificate).fingerprint256, removeAfter] as const,
    ),
    ...document.jwtKeys.map(({ kid, removeAfter }) => [`kid ${kid}`, removeAfter] as const),
  ])
}

/** @throws where a reader of the current document would be led astray by the pending one */
export function checkKeySets(pending: AuthorityDocument, current: AuthorityDocument, now: Date): void {
  if (pending.sequence < current.sequence) throw new Error('the sequence falls')
  const [before, after] = [keysOf(current), keysOf(pending)]
  for (const [key, removeAfter] of before) {
    const mayGo = removeAfter !== null && Date.parse(removeAfter) <= now.getTime()
    if (!after.has(key) && !mayGo) throw new Error(`the key ${key} goes before its time`)
  }
  const same = before.size === after.size && [...before.keys()].every((key) => after.has(key))
  if (!same && pending.sequence === current.sequence) throw new Error('the keys change, and not the sequence')
}

/** @throws where a kid is not the RFC 7638 thumbprint of its key: another key could come under the same name */
export async function checkKeyIds({ jwt }: AuthorityState): Promise<void> {
  for (const { kid, jwk } of jwt.published) {
    if ((await calculateJwkThumbprint(jwk)) !== kid) throw new Error(`${kid} is not its key's thumbprint`)
  }
}
