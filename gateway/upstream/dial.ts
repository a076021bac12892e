// The default dial: one TCP connection to one IP address that was checked before. It never resolves a name, since a
// second look-up could lead elsewhere than the address that was judged (DNS rebinding).
import { connect, isIP, type Socket } from 'node:net'
import type { ReasonCode } from '../audit/reasons.ts'
import { letGoWhenClosed } from '../let-go.ts'
import { interruption } from './budget.ts'
import { formatEndpoint, ignoreErrors } from './sockets.ts'
import { resetSocket } from '../reset.ts'
import { type LockedDial, UpstreamError } from './types.ts'

/** NAT gateways and NLB forget a TCP connection that was idle for 350 s; Linux would begin to probe after 7200 s. */
const KEEP_ALIVE_MS = 60_000

const CODES: Readonly<Record<string, ReasonCode>> = {
  ECONNREFUSED: 'connect-refused',
  ETIMEDOUT: 'connect-timeout',
  ECONNRESET: 'connect-reset',
  ECONNABORTED: 'connect-reset',
  EPIPE: 'connect-reset',
  EHOSTUNREACH: 'connect-unreachable',
  ENETUNREACH: 'connect-unreachable',
  EHOSTDOWN: 'connect-unreachable',
  ENETDOWN: 'connect-unreachable',
  // Of the block list. Its code begins otherwise, so that no other address is tried: a check before this one has failed.
  ERR_IP_BLOCKED: 'address-blocked',
}

/**
 * Rejects with an UpstreamError of a `connect-…` code, or `address-blocked` where the block list has the address; a
 * TypeError for an address that is not an IP address.
 */
export function createDial(): LockedDial {
  return async (endpoint, signal) => {
    if (isIP(endpoint.address) === 0) throw new TypeError('dial takes IP addresses alone')
    if (signal.aborted) throw interruption(signal, 'connect-timeout')
    const { promise, resolve, reject } = Promise.withResolvers<Socket>()
    const socket = connect({
      host: endpoint.address,
      port: endpoint.port,
      blockList: endpoint.blockList,
      // Happy Eyeballs of Node would choose among addresses that it looked up itself.
      autoSelectFamily: false,
      lookup: refuseToLookUp,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      // Without it Node ends our side when the server ends its own, which cuts what the client still sends.
      allowHalfOpen: true,
    })
    ignoreErrors(socket)
    letGoWhenClosed(socket)
    const onAbort = (): void => {
      resetSocket(socket)
      reject(interruption(signal, 'connect-timeout'))
    }
    const onError = (error: Error): void => reject(connectError(error, endpoint))
    signal.addEventListener('abort', onAbort, { once: true })
    const onConnect = (): void => resolve(socket)
    socket.on('error', onError).on('connect', onConnect)
    try {
      return await promise
    } finally {
      socket.off('error', onError).off('connect', onConnect)
      signal.removeEventListener('abort', onAbort)
    }
  }
}

function refuseToLookUp(): never {
  throw new TypeError('dial never looks up a name')
}

function connectError(
  error: Error,
  endpoint: { readonly address: string; readonly port: number },
): UpstreamError {
  const name = 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error'
  return new UpstreamError(CODES[name] ?? 'connect-failed', `${formatEndpoint(endpoint)}: ${name}`, {
    cause: error,
  })
}
