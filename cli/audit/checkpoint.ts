// Reads checkpoints and says whether they hold: what is signed is what the line says, byte for byte, by the key of its
// certificate, and the certificate is the gateway's, by the trust bundle and at the time of the checkpoint. Trusts the
// bundle alone.
import { X509Certificate } from 'node:crypto'
import { compactVerify } from 'jose'
import { z } from 'zod'
import { CHECKPOINT_TYPE, checkpointEvent, type CheckpointClaims } from '../../gateway/audit/checkpoint.ts'
import { toLine } from '../../gateway/audit/text.ts'
import type { Bundle } from '../../spiffe/bundle.ts'
import { SvidError, verifyX509Svid } from '../../spiffe/x509-svid.ts'
import { CHAIN_ID } from './event.ts'

export class CheckpointError extends Error {}

export interface CheckpointTrust {
  readonly bundle: Bundle
  /** Whose checkpoints count: the gateway's SPIFFE ID. */
  readonly gatewayId: string
}

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'EdDSA'] as const
const MAX_CERTIFICATES = 8
const MAX_CACHED = 256

const END = z.strictObject({
  chain: z.string().regex(CHAIN_ID),
  sequence: z.int().min(1),
  hash: z.string().regex(/^sha256:[0-9a-f]{64}$/),
})
const CLAIMS = END.extend({
  at: z.iso.datetime({ precision: 3 }),
  after: END.nullable(),
  dropped: z.int().min(0),
  final: z.boolean(),
})
const HEADER = z.strictObject({
  alg: z.enum(ALGORITHMS),
  typ: z.literal(CHECKPOINT_TYPE),
  x5c: z.array(z.base64()).min(1).max(MAX_CERTIFICATES),
})

type Certificates = readonly [X509Certificate, ...X509Certificate[]]

/** Certificates that were read already: a gateway shows the same ones for hours, and their signatures cost the most. */
const read = new Map<string, Certificates>()

/** Of a line that is a checkpoint, without its end. @throws CheckpointError, saying what does not hold */
export async function verifyCheckpoint(
  line: string,
  trust: CheckpointTrust | null,
): Promise<CheckpointClaims> {
  const { jws } = json(line, z.looseObject({ jws: z.string() }), 'the line')
  const [header, claims] = partsOf(jws)
  const { x5c, alg } = json(header, HEADER, 'the header')
  const said = json(claims, CLAIMS, 'the payload')
  if (toLine(checkpointEvent(said, jws)) !== line) {
    throw new CheckpointError('the line says another thing than what is signed')
  }
  const [leaf, ...intermediates] = certificatesOf(x5c)
  try {
    await compactVerify(jws, leaf.publicKey, { algorithms: [alg] })
  } catch {
    throw new CheckpointError('the signature does not hold')
  }
  if (trust !== null) checkTrust({ leaf, intermediates, at: new Date(said.at) }, trust)
  return said
}

/** Header and payload. Each part must be as an encoder writes it: spare bits in the last character would be a second form. */
function partsOf(jws: string): readonly [header: string, payload: string] {
  const parts = jws.split('.')
  const [header, payload, signature] = parts.map((part) => Buffer.from(part, 'base64url'))
  const canonical = [header, payload, signature].map((part) => part?.toString('base64url')).join('.')
  if (parts.length !== 3 || header === undefined || payload === undefined || canonical !== jws) {
    throw new CheckpointError('no JWS in compact form')
  }
  return [header.toString('utf8'), payload.toString('utf8')]
}

function json<T>(text: string, schema: z.ZodType<T>, what: string): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new CheckpointError(`${what} is no JSON`)
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new CheckpointError(`${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`)
}

function certificatesOf(x5c: readonly string[]): Certificates {
  const key = x5c.join(' ')
  const known = read.get(key)
  if (known !== undefined) return known
  let certificates: X509Certificate[]
  try {
    certificates = x5c.map((one) => new X509Certificate(Buffer.from(one, 'base64')))
  } catch {
    throw new CheckpointError('a certificate cannot be read')
  }
  const [leaf, ...rest] = certificates
  if (leaf === undefined) throw new CheckpointError('there is no certificate')
  if (read.size >= MAX_CACHED) read.clear()
  read.set(key, [leaf, ...rest])
  return [leaf, ...rest]
}

interface Shown {
  readonly leaf: X509Certificate
  readonly intermediates: readonly X509Certificate[]
  readonly at: Date
}

function checkTrust({ leaf, intermediates, at }: Shown, { bundle, gatewayId }: CheckpointTrust): void {
  try {
    const trusted = (name: string) => (name === bundle.trustDomain ? bundle : undefined)
    const { id } = verifyX509Svid({ leaf, intermediates, bundle: trusted, now: at, purpose: 'client' })
    if (id.uri !== gatewayId) {
      throw new CheckpointError(`signed by ${id.uri}, which is not the gateway ${gatewayId}`)
    }
  } catch (error) {
    if (!(error instanceof SvidError)) throw error
    throw new CheckpointError(`the certificate does not hold at ${at.toISOString()}: ${error.message}`)
  }
}
