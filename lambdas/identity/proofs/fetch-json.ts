// One bounded JSON document from an issuer: a deadline over the whole of it, a size cap while reading, 200 alone.
import { SallyportError } from '../../../common/errors.ts'
import { parseStrictJson } from '../strict-json.ts'
import type { Fetch, FetchAnswer } from './guarded-fetch.ts'

export const MAX_DOCUMENT_BYTES = 256 * 1024
export const FETCH_TIMEOUT_MS = 5_000

export type DocumentErrorCode =
  | 'document-status'
  | 'document-too-large'
  | 'document-malformed'
  | 'document-unreachable'

export class DocumentError extends SallyportError<DocumentErrorCode> {}

/** The body, read no further than the cap. @throws DocumentError `document-too-large` */
export async function readCapped(response: FetchAnswer, maxBytes = MAX_DOCUMENT_BYTES): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  // Leaving the loop early cancels the stream, which closes the connection.
  for await (const part of response.body ?? []) {
    size += part.byteLength
    if (size > maxBytes)
      throw new DocumentError('document-too-large', `the document is over ${maxBytes} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

async function readBody(url: string, fetch: Fetch, signal: AbortSignal): Promise<Uint8Array> {
  const response = await fetch(url, { redirect: 'manual', headers: { accept: 'application/json' }, signal })
  if (response.status !== 200) {
    // A body that nobody reads holds its connection.
    await response.body?.[Symbol.asyncIterator]().return?.()
    throw new DocumentError('document-status', `${url} answered ${response.status}, not 200`)
  }
  return readCapped(response)
}

/**
 * Fetches and parses one JSON document.
 * @throws DocumentError
 */
export async function fetchJson(url: string, fetch: Fetch, timeoutMs = FETCH_TIMEOUT_MS): Promise<unknown> {
  const signal = AbortSignal.timeout(timeoutMs)
  // A fetch that ignores its signal must not hold the request either.
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const onAbort = (): void =>
    reject(new DocumentError('document-unreachable', `${url} took over ${timeoutMs} ms`))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const bytes = await Promise.race([readBody(url, fetch, signal), expired])
    return parseStrictJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof DocumentError) throw error
    const readable = error instanceof SallyportError && error.code.startsWith('json-')
    const code = readable || error instanceof TypeError ? 'document-malformed' : 'document-unreachable'
    throw new DocumentError(code, `${url}: ${error instanceof Error ? error.message : 'failed'}`, {
      cause: error,
    })
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
