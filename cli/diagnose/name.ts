// The end of a diagnosis of `tls: passthrough`, where the client speaks TLS itself: whether the name that it would show is
// taken, and what the server says to it. Without a name the walk ends at TCP, as the gateway's own part does.
import { once } from 'node:events'
import tls from 'node:tls'
import type { Destination } from '../../gateway/config/types.ts'
import { judgeHello } from '../../gateway/sessions/inner-hello.ts'
import { within } from '../../gateway/upstream/budget.ts'
import { openBudget } from '../../gateway/upstream/budget.ts'
import { upgrade } from '../../gateway/upstream/starttls/layer.ts'
import { createStartTlsSet } from '../../gateway/upstream/starttls/registry.ts'
import { tlsFailure } from '../../gateway/upstream/tls-failures.ts'
import { type UpstreamConnection, UpstreamError } from '../../gateway/upstream/types.ts'
import { watchChain } from './certificates.ts'
import type { Journal } from './journal.ts'
import { serverNotes } from './notes.ts'
import type { Asked, Diagnosis } from './types.ts'

export async function proveName(
  connection: UpstreamConnection,
  { host, serverName }: Asked,
  destination: Destination,
  journal: Journal,
): Promise<Diagnosis> {
  const names = [host, ...destination.serverNames].join(' or ')
  if (serverName === null) {
    journal.tell('name', '-', [`the client speaks TLS itself, and its ClientHello must name ${names}`])
    return journal.reached(
      'the way is open up to TCP: say --server-name NAME to try what the client would name, or look at the client’s own TLS',
    )
  }
  const refusal = judgeHello({ serverName, ech: false }, { host, destination })
  if (refusal !== null) {
    journal.tell('name', 'no', [`a ClientHello that names ${serverName} is refused: it must name ${names}`])
    return journal.refused(refusal.code, refusal.detail)
  }
  journal.tell('name', 'ok', [`a ClientHello that names ${serverName} is let through`])
  try {
    await handshake(connection, serverName, destination, journal)
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    journal.tell('tls', 'no', [error.message])
    return journal.refused(error.code, error.message)
  }
  return journal.reached(
    'nothing here: the server answers TLS; whether its certificate is right is for the client to say',
  )
}

/** As the client would, but for the verdict on the certificate, which is the client's own. */
async function handshake(
  { raw }: UpstreamConnection,
  servername: string,
  destination: Destination,
  journal: Journal,
): Promise<void> {
  const now = () => performance.now()
  const startedAt = now()
  using budget = openBudget(destination.connect.timeoutMs, new AbortController().signal, now)
  await upgrade(raw, destination, createStartTlsSet(), budget.signal)
  const socket = tls.connect({ socket: raw, servername, rejectUnauthorized: false })
  watchChain(socket, (chain) => journal.sawServer(chain))
  socket.on('error', () => {})
  const closed = once(socket, 'close').then(() => {
    throw Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' })
  })
  try {
    await within(budget.signal, 'upstream-tls-timeout', () =>
      Promise.race([once(socket, 'secureConnect'), closed]),
    )
  } catch (error) {
    throw tlsFailure(error as Error, { asked: false, presented: false, finished: false, chain: [] })
  }
  const verdict = socket.authorized
    ? 'Node’s own roots verify it'
    : `Node’s own roots do not verify it: ${String(socket.authorizationError)}`
  journal.tell(
    'tls',
    'ok',
    [`${socket.getProtocol()}`, ...serverNotes(journal, new Date()), `  ${verdict}`],
    now() - startedAt,
  )
}
