// What a caller sends, read once: size before content, then strict JSON, then a closed schema.
import * as z from './schema-library.ts'
import { ProblemError } from './problem.ts'
import { ProofError } from './proofs/proof.ts'
import { parseStrictJson } from './strict-json.ts'

/** A CSR of 8 KiB with its line ends escaped, a session token of 16 KiB, and room for the rest. */
export const MAX_BODY_BYTES = 32 * 1024

/** @throws ProblemError `request-too-large`, `request-malformed` */
export async function readBody(request: Request): Promise<Uint8Array> {
  const tooLarge = (): ProblemError =>
    new ProblemError('request-too-large', { detail: `at most ${MAX_BODY_BYTES} bytes` })
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY_BYTES) throw tooLarge()
  const parts: Uint8Array[] = []
  let size = 0
  try {
    for await (const part of request.body ?? []) {
      size += part.byteLength
      if (size > MAX_BODY_BYTES) throw tooLarge()
      parts.push(part)
    }
  } catch (error) {
    if (error instanceof ProblemError) throw error
    // The caller went away, or its chunks are none: nothing of ours is broken.
    throw new ProblemError('request-malformed', { detail: 'the body did not come to its end', cause: error })
  }
  return Buffer.concat(parts)
}

/** Names the fault by keys and types; a value of the caller's is never repeated to him. */
function describe(error: unknown): string {
  if (!(error instanceof z.ZodError)) return 'the body is not a JSON object with each key once'
  return error.issues
    .map((issue) => {
      const where = issue.path.join('.')
      return where === '' ? issue.message : `${where}: ${issue.message}`
    })
    .join('; ')
    .slice(0, 500)
}

/**
 * The body as the schema says.
 * @throws ProblemError `request-media-type`, `request-malformed`
 */
export function parseBody<T>(contentType: string | null, body: Uint8Array, schema: z.Schema<T>): T {
  if (!/^application\/json\s*(?:;|$)/i.test(contentType ?? '')) throw new ProblemError('request-media-type')
  try {
    return z.parse(schema, parseStrictJson(new TextDecoder('utf-8', { fatal: true }).decode(body)))
  } catch (error) {
    throw new ProblemError('request-malformed', { detail: describe(error), cause: error })
  }
}

/**
 * The token of an Authorization header. Two headers arrive joined by a comma, and so are no token.
 * @throws ProofError `proof-missing`
 */
export function readBearer(header: string | null): string {
  const [, token] = /^Bearer +([^\s,]+)$/i.exec(header ?? '') ?? []
  if (token === undefined) throw new ProofError('proof-missing', 'no bearer token')
  return token
}
