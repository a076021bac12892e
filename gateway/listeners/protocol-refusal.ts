// How a refusal is told where there is no HTTP to answer in: in the words of the protocol that `startTls` names, at the
// moment when its clients listen for them. What a client sends meanwhile is untrusted, bounded and dropped.
import type net from 'node:net'
import type { Duplex } from 'node:stream'
import { isConcealed } from '../audit/answer.ts'
import { isDisclosed, type ReasonCode } from '../audit/reasons.ts'
import type { Refusing, RefusalWords } from '../upstream/starttls/types.ts'
import { resetConnection } from '../reset-connection.ts'

/** For the client to say what its protocol answers, and then to read it; else the reset would eat it. */
const TELLING_MS = 2_000
const MAX_BYTES = 65_536

/**
 * Security: as in HTTP, `client-…` and `request-…` alone are named; what tells an unknown destination from a denied one
 * would let a client map what exists, so `destination-…`, `policy-…`, `revoked-…` and `address-…` share one text.
 */
export function refusalWords(code: ReasonCode, attemptId: string): RefusalWords {
  const session = `(session ${attemptId})`
  if (isDisclosed(code)) return { kind: 'denied', text: `sallyport refused this client: ${code} ${session}` }
  if (isConcealed(code)) return { kind: 'denied', text: `sallyport denied this connection ${session}` }
  return { kind: 'unavailable', text: `sallyport cannot open this connection now ${session}` }
}

/** Says it on `stream`, which is `raw` or lies over it, and ends both. */
export function tellRefusal(stream: Duplex, raw: net.Socket, refusing: Refusing): void {
  const reset = (): void => resetConnection(raw)
  const timer = setTimeout(reset, TELLING_MS)
  let over = false
  let received = 0
  const step = (bytes: Buffer): void => {
    const { reply, over: told } = refusing.answer(bytes)
    over = told
    if (reply.length > 0) stream.write(reply)
    // A turn later: Node's TLS end() inside a read callback loses what OpenSSL has not decrypted yet (24.21.0).
    if (over) setImmediate(() => void stream.end())
  }
  stream.on('close', () => clearTimeout(timer))
  stream.on('data', (bytes: Buffer) => {
    received += bytes.length
    if (over) return
    if (received > MAX_BYTES) reset()
    else step(bytes)
  })
  stream.on('end', () => {
    if (!over) reset()
  })
  if (stream.readableEnded) return reset()
  step(Buffer.alloc(0))
  stream.resume()
}
