// Who may ask the admin port. On loopback, everybody on this machine, but no web page: not by a name that is rebound to
// 127.0.0.1, and not from another origin. With mTLS, the workloads that `admin.workloads` names, judged at each request.
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { SpiffeIdPattern } from '../../spiffe/pattern.ts'
import {
  identify,
  type Identified,
  type ListenerTrust,
  type PeerChain,
  readPeerChain,
} from '../listeners/identify.ts'
import type { RevocationQuestion, Revoked } from '../revocations/list.ts'

export type Caller =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly why: string }

/** Says who sent a request. */
export type JudgeCaller = (request: IncomingMessage) => Caller

export interface MutualTls {
  readonly workloads: readonly SpiffeIdPattern[]
  readonly trust: () => ListenerTrust
  readonly revoked: (question: RevocationQuestion) => Revoked | null
  readonly now: () => Date
}

const LOOPBACK = /^(?:localhost|127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(?::\d{1,5})?$/i

/** Without TLS. */
export const judgeLocal: JudgeCaller = (request) => {
  const host = request.headers.host ?? ''
  if (!LOOPBACK.test(host)) return { ok: false, why: 'this port answers to loopback names alone' }
  const page = fromAnotherPage(request, `http://${host}`)
  return page === null ? { ok: true, name: 'an operator on loopback' } : { ok: false, why: page }
}

/** The chain is to be had while 'secure' is emitted and no later (nodejs/node#65579). */
export function keepChains(server: {
  on(event: 'keylog', listener: (line: Buffer, socket: TLSSocket) => void): unknown
}): WeakMap<object, PeerChain> {
  const chains = new WeakMap<object, PeerChain>()
  const awaited = new WeakSet<object>()
  server.on('keylog', (_line, socket) => {
    if (awaited.has(socket)) return
    awaited.add(socket)
    socket.prependOnceListener('secure', () => void chains.set(socket, readPeerChain(socket)))
  })
  return chains
}

export function judgeByCertificate(chains: WeakMap<object, PeerChain>, options: MutualTls): JudgeCaller {
  return (request) => {
    const socket = request.socket as TLSSocket
    const error = socket.authorizationError === undefined ? null : String(socket.authorizationError)
    const openssl = { authorized: socket.authorized, error }
    const identity = identify(chains.get(socket) ?? [], openssl, options.trust(), options.now())
    if (!identity.ok) return { ok: false, why: identity.code }
    const page = fromAnotherPage(request, `https://${request.headers.host ?? ''}`)
    return page === null ? judgeWorkload(identity, options) : { ok: false, why: page }
  }
}

function judgeWorkload(
  { principal, serialNumber, tokenId }: Identified,
  { workloads, revoked }: Pick<MutualTls, 'workloads' | 'revoked'>,
): Caller {
  const workload = principal.kind === 'workload' ? principal.id : null
  if (workload === null || !workloads.some((pattern) => pattern.matches(workload))) {
    return { ok: false, why: 'admin.workloads does not name this workload' }
  }
  const found = revoked({ workload, serialNumber, tokenId, destination: null })
  return found === null ? { ok: true, name: workload.uri } : { ok: false, why: found.code }
}

/** What browsers say of themselves (Fetch Metadata, RFC 6454); other clients say nothing. Null = no other page. */
function fromAnotherPage({ headers }: IncomingMessage, own: string): string | null {
  const site = headers['sec-fetch-site']
  if (headers.origin !== undefined && headers.origin !== own) return 'a request from another origin'
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'a request from another site'
  return null
}
