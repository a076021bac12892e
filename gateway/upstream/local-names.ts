// Hosts whose addresses are known without asking anybody.
import { canonicalAddress } from './address-class.ts'

/**
 * The addresses of an IP literal (itself) or of `localhost` and names below it, which must never be asked for on the
 * network (RFC 6761 §6.3): a resolver could answer with any address. Null for every other name.
 */
export function localAddresses(host: string): readonly string[] | null {
  const literal = canonicalAddress(host)
  if (literal !== null) return [literal]
  if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1', '::1']
  return null
}
