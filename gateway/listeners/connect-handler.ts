// Joins a connect listener to the sessions behind it: every connection and request that the listener reports becomes
// an attempt with exactly one closing record, or a counted probe.
import type { AttemptFacts } from '../audit/events.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import { beginAttempt, runSession, type SessionDependencies } from '../sessions/session.ts'
import type { AcceptOptions, ClientConnection } from './accept.ts'
import type { ConnectHandler } from './connect.ts'

const NO_BYTES = { sent: 0, received: 0 }

type Joined = Pick<AcceptOptions, 'onFailure' | 'onSecured' | 'onProbe' | 'onCount'> & {
  readonly handler: ConnectHandler
}

/** The callbacks that `startConnectListener` takes. */
export function createConnectHandler(deps: SessionDependencies): Joined {
  const { audit, metrics, listener } = deps
  const record = (facts: AttemptFacts, code: ReasonCode, by: 'client' | 'gateway', detail: string | null) => {
    audit.closed(facts, { code, by, detail }, NO_BYTES)
    metrics.attempt(listener, code, NO_BYTES)
  }
  return {
    onSecured: () => metrics.handshake(listener, 'ok'),
    onProbe: () => metrics.probe(listener),
    onCount: (open) => metrics.connectionsOpen(listener, open),
    onFailure({ id, source, acceptedAt, code, detail }) {
      metrics.handshake(listener, 'failed')
      const facts = beginAttempt(deps, { id, source, handshakeMs: null })
      record({ ...facts, openedAt: acceptedAt }, code, 'client', detail)
    },
    handler: {
      tunnel(connection, tunnel) {
        void runSession(deps, connection, tunnel)
      },
      refusedRequest(connection, requestCode, requestDetail) {
        const { facts, refusal } = identified(deps, connection)
        const code = refusal?.code ?? requestCode
        record(facts, code, 'gateway', refusal === null ? requestDetail : refusal.detail)
        return { id: facts.id, code }
      },
      noRequest(connection, code, detail) {
        const { facts, refusal } = identified(deps, connection)
        record(
          facts,
          refusal?.code ?? code,
          refusal === null ? 'client' : 'gateway',
          refusal?.detail ?? detail,
        )
      },
    },
  }
}

/** The facts of a connection that brought no usable request, with its identity or what is wrong with it. */
function identified(deps: SessionDependencies, connection: ClientConnection) {
  const facts = beginAttempt(deps, connection)
  const identity = connection.identity()
  if (!identity.ok) return { facts, refusal: identity }
  facts.workload = identity.id.uri
  facts.serialNumber = identity.serialNumber
  facts.credential = 'certificate'
  return { facts, refusal: null }
}
