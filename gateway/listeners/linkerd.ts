// Linkerd's opaque transport (ALPN `transport.l5d.io/v1`): a header inside TLS says where the bytes behind it go. There is
// no answer in this protocol, so a refusal is a reset.
import type { ReasonCode } from '../audit/reasons.ts'
import { NO_FACTS } from '../sessions/tunnel.ts'
import { type ClientConnection, type RequestHandler, requestTimeout } from './connection.ts'
import { type LinkerdHeaderResult, readLinkerdHeader } from './linkerd-header.ts'
import { StreamTunnel } from './stream-tunnel.ts'
import { resetSocket } from '../reset.ts'

type Refused = Extract<LinkerdHeaderResult, { kind: 'refused' }>

/** Reads the header of `connection` and hands a tunnel to `handler`. */
export function serveLinkerd(connection: ClientConnection, handler: RequestHandler): void {
  const { tls, raw } = connection
  let buffered: Buffer = Buffer.alloc(0)
  const stop = () => {
    clearTimeout(deadline)
    tls.off('data', onData)
    tls.off('end', onGone)
    tls.off('close', onGone)
    connection.closing.delete(onClosing)
    tls.pause()
  }
  const refuse = (code: ReasonCode, detail: string | null) => {
    stop()
    if (detail === null) handler.noRequest(connection, code, null)
    else handler.refusedRequest(connection, code, detail)
    resetSocket(raw)
  }
  const onGone = () => refuse(buffered.length === 0 ? 'client-closed' : 'request-malformed', null)
  const onClosing = () => refuse('session-drained', null)
  const deadline = setTimeout(
    () => refuse('request-timeout', 'the transport header is not complete'),
    requestTimeout(connection),
  )
  const onData = (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk])
    const result = readLinkerdHeader(buffered)
    if (result.kind === 'incomplete') return
    if (result.kind === 'refused') return refuse(codeOf(result), result.message)
    const { name, port, sessionProtocol, length } = result
    // Without a name the header means the port of the proxy's own pod: there is nothing behind a gateway.
    if (name === null) return refuse('request-target', 'the transport header names no host')
    // The client's proxy may have turned HTTP/1 into HTTP/2, which only another proxy would undo.
    if (sessionProtocol === 'http2')
      return refuse('request-target', 'the session protocol is HTTP/2, not opaque')
    stop()
    if (buffered.length > length) tls.unshift(buffered.subarray(length))
    handler.tunnel(
      connection,
      new StreamTunnel({
        requested: { host: name, port },
        facts: NO_FACTS,
        identify: () => connection.identity(),
        stream: tls,
        raw,
        refusal: null,
      }),
    )
  }
  tls.on('error', () => {})
  connection.closing.add(onClosing)
  tls.on('data', onData)
  tls.on('end', onGone)
  tls.on('close', onGone)
}

function codeOf({ code }: Refused): ReasonCode {
  if (code === 'too-large') return 'request-too-large'
  return code === 'port' || code === 'name' ? 'request-target' : 'request-malformed'
}
