// The parsers behind the listeners for meshes, tokens and databases: transport header, hints, names, credentials.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { MAX_MESSAGE_BYTES, readLinkerdHeader } from '../../gateway/listeners/linkerd-header.ts'
import { parseLinkerdMap } from '../../gateway/listeners/linkerd-map.ts'
import { readMeshHints } from '../../gateway/listeners/mesh-hints.ts'
import { readPostgresStart } from '../../gateway/listeners/postgres-preamble.ts'
import { CANCEL_REQUEST } from '../../gateway/upstream/starttls/postgres/wire.ts'
import { readToken } from '../../gateway/listeners/token.ts'
import { JwtSvidError, verifyJwtSvid } from '../../spiffe/jwt-svid.ts'
import { decodeMessage, encodeTransportHeader } from '../fakes/mesh/transport-header.ts'
import type { Random } from './random.ts'
import { checkPrefixes, type FuzzTarget, promise } from './target.ts'

const latin1 = (input: Uint8Array) => Buffer.from(input).toString('latin1')
const samples = (first: string, ...more: readonly string[]): [Uint8Array, ...Uint8Array[]] => [
  Buffer.from(first, 'latin1'),
  ...more.map((text) => Buffer.from(text, 'latin1')),
]

/** `transport.l5d.io/v1`, the blank line and the length. */
const FRAME_BYTES = 27

function checkLinkerdHeader(input: Uint8Array, random: Random): void {
  checkPrefixes(input, random, (prefix) => {
    const result = readLinkerdHeader(Buffer.from(prefix))
    if (result.kind !== 'incomplete') return result
    promise(prefix.length < FRAME_BYTES + MAX_MESSAGE_BYTES, 'more is awaited than the longest header')
    return null
  })
  const result = readLinkerdHeader(Buffer.from(input))
  if (result.kind !== 'done') return
  // Whatever is taken at all is taken as a stock library takes it, but for the spelling of the name.
  const stock = decodeMessage(input.subarray(FRAME_BYTES, result.length))
  promise(stock.port === result.port, 'another port')
  promise((stock.sessionProtocol ?? 'opaque') === result.sessionProtocol, 'another session protocol')
  const name = (stock.name ?? '').toLowerCase().replace(/\.$/, '')
  promise(name === (result.name ?? ''), 'another name')
}

/** Three headers in one input, a line each. */
function checkMeshHints(input: Uint8Array): void {
  const [baggage = '', forwarded = '', traceparent = ''] = latin1(input).split('\n')
  const shown = JSON.stringify(readMeshHints({ baggage, forwarded, traceparent }))
  promise(!/[^ -~]/.test(shown), 'a character that no terminal should see')
  promise(shown.length < 4096, 'more than a record has room for')
}

function checkToken(input: Uint8Array): void {
  const header = latin1(input)
  const token = readToken(header)
  if (token === null) return
  promise(token.length <= header.length, 'more than was shown')
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(token)) return
  promise(readToken(`Bearer ${token}`) === token, 'another token by Bearer')
  promise(readToken(`Basic ${btoa(`x:${token}`)}`) === token, 'another token by Basic')
}

/** Signed once for this; the key that signed is gone. */
const { key, tokens } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'samples', 'jwt-svid.json'), 'utf8'),
) as { key: Readonly<Record<string, string>>; tokens: [string, string] }
const BUNDLE = {
  trustDomain: 'example.org',
  x509Authorities: [],
  jwtAuthorities: [{ keyId: 'k1', key }],
  sequence: null,
  refreshHintSeconds: null,
}
const OPTIONS = {
  audience: 'spiffe://example.org/sallyport/gateway',
  bundle: (name: string) => (name === 'example.org' ? BUNDLE : undefined),
  now: new Date('2026-01-01T00:01:00Z'),
}

async function checkJwtSvid(input: Uint8Array): Promise<void> {
  const token = latin1(input)
  try {
    await verifyJwtSvid(token, OPTIONS)
  } catch (error) {
    if (!(error instanceof JwtSvidError)) throw error
    return
  }
  promise(tokens.includes(token), 'a token that nobody signed')
}

const MAP = parseLinkerdMap({
  '*.*.serviceaccount.identity.linkerd.cluster.local': 'spiffe://l5d.test/ns/{2}/sa/{1}',
  '*.jobs.test': 'spiffe://l5d.test/jobs/{1}',
  'cron.test': 'spiffe://other.test/cron',
})

/** The map is one to one: the name can be read off the ID. */
function nameOf(uri: string): string {
  const [, ns, sa] = /^spiffe:\/\/l5d\.test\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri) ?? []
  if (ns !== undefined) return `${sa}.${ns}.serviceaccount.identity.linkerd.cluster.local`
  const [, job] = /^spiffe:\/\/l5d\.test\/jobs\/([^/]+)$/.exec(uri) ?? []
  return job === undefined ? 'cron.test' : `${job}.jobs.test`
}

function checkLinkerdName(input: Uint8Array): void {
  const name = latin1(input)
  const id = MAP.toSpiffeId(name)
  if (id === null) return
  promise(MAP.trustDomains.includes(id.trustDomain), 'an ID of a trust domain that no entry names')
  promise(nameOf(id.uri) === name, 'an ID of another name')
}

/** Of a request for encryption, and of a CancelRequest with the longest secret of protocol 3.2. */
const POSTGRES_BYTES = { request: 8, cancel: 268 }

function checkPostgres(input: Uint8Array, random: Random): void {
  checkPrefixes(input, random, (prefix) => {
    const start = readPostgresStart(Buffer.from(prefix))
    if (start.kind !== 'incomplete') return start
    const cancels = prefix.length >= 8 && Buffer.from(prefix).readUInt32BE(4) === CANCEL_REQUEST
    const most = cancels ? POSTGRES_BYTES.cancel : POSTGRES_BYTES.request
    promise(prefix.length < most, 'more is awaited than a request has')
    return null
  })
}

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

export const MESH_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'linkerd-header',
    samples: [
      encodeTransportHeader({ port: 443, name: 'api.bank.example' }),
      encodeTransportHeader({ port: 5432, name: 'Orders.DB.internal.', sessionProtocol: 'http1' }),
      encodeTransportHeader({ port: 65_535, sessionProtocol: 'http2' }),
      encodeTransportHeader({ port: 1 }),
    ],
    check: checkLinkerdHeader,
  },
  {
    name: 'mesh-hints',
    samples: samples(
      `k8s.cluster.name=eu-1,k8s.namespace.name=payments,k8s.deployment.name=api,service.name=api,cloud.region=eu%2Dwest\nfor="10.244.1.7:40000";host=api.bank.example\n${TRACEPARENT}`,
      `service.name=a;p=1,service.version=1.2\nFor="[2001:db8::7]:_port"; By=unknown\ncc-${TRACEPARENT.slice(3)}-more`,
      'k8s.pod.name=x,k8s.job.name=y\nfor=_hidden;host="a\\"b"\n',
    ),
    check: checkMeshHints,
  },
  {
    name: 'proxy-authorization',
    samples: samples(
      `Bearer ${tokens[0]}`,
      `bearer  ${tokens[1]} `,
      `Basic ${btoa(`token:${tokens[1]}`)}`,
      'Basic dG9rZW46YTpi',
    ),
    check: checkToken,
  },
  { name: 'jwt-svid', samples: samples(...tokens), check: checkJwtSvid },
  {
    name: 'linkerd-name',
    samples: samples(
      'api.payments.serviceaccount.identity.linkerd.cluster.local',
      'nightly.jobs.test',
      'cron.test',
    ),
    check: checkLinkerdName,
  },
  {
    name: 'postgres',
    samples: [
      Buffer.from('0000000804d2162f', 'hex'),
      Buffer.from('0000000804d2163016030100', 'hex'),
      Buffer.from('0000001004d2162e0000000100000002', 'hex'),
      Buffer.from('00000017000300007573657200706f737467726573000000', 'hex'),
    ],
    check: checkPostgres,
  },
]
