// The one way in which the authority calls out: no redirect, no proxy, no shared connection, and only to
// addresses that `addresses.ts` allows. The address that was judged is the address that is dialled: asking DNS twice
// would let a name answer differently the second time.
import { type LookupAddress, lookup as resolve } from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { SallyportError } from '../../../common/errors.ts'
import { isFetchable } from './addresses.ts'

export type FetchErrorCode = 'address-refused' | 'scheme-refused' | 'answer-unreadable'

export class FetchError extends SallyportError<FetchErrorCode> {}

export interface FetchInit {
  /** Default GET. */
  readonly method?: 'GET' | 'POST'
  readonly redirect: 'manual'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
  /** Gives the body of a 4xx or 5xx answer too; of all others but 200 it is never read. */
  readonly keepErrorBody?: boolean
}

/** Of the fetch standard's Response the part that the authority uses. A real one takes 50 ms to load on Lambda. */
export interface FetchAnswer {
  readonly status: number
  readonly headers: Pick<Headers, 'get'>
  readonly body: AsyncIterable<Uint8Array> | null
}

/** The part of the fetch standard that the authority uses. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchAnswer>

export interface GuardedFetchOptions {
  /** Allows http and loopback addresses: for development alone. */
  readonly loopback: boolean
  /** Allows every address: for hosts from a table of our own, where TLS says who answers. Default: global ones alone. */
  readonly anyAddress?: boolean
  /** All addresses of a name. Default: the system's resolver. */
  readonly lookup?: (
    hostname: string,
    callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
  ) => void
}

const MAX_HEADER_BYTES = 16 * 1024

function mayCall(address: string, options: GuardedFetchOptions): boolean {
  return options.anyAddress === true || isFetchable(address, options)
}

function guardLookup(options: GuardedFetchOptions): LookupFunction {
  const all =
    options.lookup ??
    ((hostname, callback) => {
      resolve(hostname, { all: true }, callback)
    })
  return (hostname, wanted, callback) => {
    all(hostname, (error, addresses) => {
      const allowed = addresses?.filter(({ address }) => mayCall(address, options)) ?? []
      const [first] = allowed
      if (error !== null) callback(error, '', 0)
      else if (first === undefined) {
        callback(new FetchError('address-refused', `${hostname} has no address that may be called`), '', 0)
      } else if (wanted.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

/** Node never calls `lookup` for a literal, so a literal is judged here. */
function checkTarget(target: URL, options: GuardedFetchOptions): void {
  if (target.protocol !== 'https:' && !(options.loopback && target.protocol === 'http:')) {
    throw new FetchError('scheme-refused', `${target.protocol} is not https:`)
  }
  const host = target.hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) !== 0 && !mayCall(host, options)) {
    throw new FetchError('address-refused', `${host} may not be called`)
  }
}

function toAnswer(message: http.IncomingMessage, keepErrorBody: boolean): FetchAnswer {
  const status = message.statusCode ?? 0
  const headers = {
    get: (name: string): string | null => {
      const value = message.headers[name.toLowerCase()]
      return typeof value === 'string' ? value : null
    },
  }
  if (status === 200 || (keepErrorBody && status >= 400 && status <= 599)) {
    return { status, headers, body: message as AsyncIterable<Uint8Array> }
  }
  // The body of anything else is never read.
  message.destroy()
  return { status, headers, body: null }
}

/** A fetch that reaches allowed addresses alone. It rejects with FetchError, or with Node's own error. */
export function createGuardedFetch(options: GuardedFetchOptions): Fetch {
  const lookup = guardLookup(options)
  return (url, init) => {
    const { promise, resolve: settle, reject } = Promise.withResolvers<FetchAnswer>()
    try {
      const target = new URL(url)
      checkTarget(target, options)
      const client = target.protocol === 'https:' ? https : http
      const request = client.request(target, {
        method: init.method ?? 'GET',
        headers: { ...init.headers },
        signal: init.signal,
        agent: false,
        maxHeaderSize: MAX_HEADER_BYTES,
        lookup,
      })
      request.on('response', (message) => {
        // An abort in mid-body reaches the reader by his loop; without a listener it would end the process.
        message.on('error', () => undefined)
        settle(toAnswer(message, init.keepErrorBody === true))
      })
      request.on('error', reject)
      request.end(init.body)
    } catch (error) {
      reject(error instanceof Error ? error : new FetchError('answer-unreadable', String(error)))
    }
    return promise
  }
}
