// The authority's issuance records, JSON lines, searched for the identity that a session showed: those of its file, or items of
// its DynamoDB table as the AWS CLI and exports give them. Trusts nothing in the file: a line that is no such record is counted
// and passed over.
import { z } from 'zod'
import type { Issuance } from '../../lambdas/identity/issuances/store.ts'
import { parse } from './event.ts'
import { linesOf } from './files.ts'

const FACTS = z.object({
  spiffeId: z.string(),
  registration: z.string(),
  proof: z.object({ issuer: z.string(), subject: z.string(), tokenId: z.string() }),
  issuedAt: z.string(),
  expiresAt: z.string(),
  requestId: z.string(),
})

const ISSUANCE: z.ZodType<Issuance> = z.union([
  FACTS.extend({ kind: z.literal('x509'), serialNumber: z.string(), certificateSha256: z.string() }),
  FACTS.extend({ kind: z.literal('jwt'), tokenId: z.string(), audience: z.string(), keyId: z.string() }),
])

/** What the record of a session says of the identity. */
export interface Shown {
  readonly workload: string | null
  readonly serialNumber: string | null
  readonly tokenId: string | null
}

export interface FoundIssuance {
  readonly issuance: Issuance | null
  /** Lines that are no issuance records. */
  readonly unreadable: number
}

/** Searches by serial number, or by token id where there is none. @throws ReadError */
export async function findIssuance(files: readonly string[], shown: Shown): Promise<FoundIssuance> {
  let unreadable = 0
  for (const file of files) {
    for await (const { bytes } of linesOf(file)) {
      if (bytes?.length === 0) continue
      const read = ISSUANCE.safeParse(bytes === null ? null : untyped(parse(bytes)))
      if (!read.success) unreadable += 1
      else if (isOf(read.data, shown)) return { issuance: read.data, unreadable }
    }
  }
  return { issuance: null, unreadable }
}

/** DynamoDB's `{"S": "x"}` and `{"M": {…}}` as plain values; an export wraps each item in `Item`. */
function untyped(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [[type, inner] = ['', null]] = entries
  if (entries.length === 1 && (type === 'Item' || type === 'M')) return untyped(inner)
  if (entries.length === 1 && type === 'S') return inner
  return Object.fromEntries(entries.map(([name, one]) => [name, untyped(one)]))
}

/** By the SPIFFE ID too: serial numbers of another authority may be the same. */
function isOf(issuance: Issuance, { workload, serialNumber, tokenId }: Shown): boolean {
  if (issuance.spiffeId !== workload) return false
  return issuance.kind === 'x509'
    ? serialNumber !== null && issuance.serialNumber === serialNumber
    : tokenId !== null && issuance.tokenId === tokenId
}
