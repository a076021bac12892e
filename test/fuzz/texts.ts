// Parsers of text: names, identities, tokens, JSON. What they accept must come back as the same.
import { parseHost, parseHostPort } from '../../gateway/destinations/host.ts'
import { describePlaintext } from '../../gateway/upstream/plaintext.ts'
import { ProofError } from '../../lambdas/identity/proofs/proof.ts'
import { parseCompactToken } from '../../lambdas/identity/proofs/token.ts'
import { JsonError, parseStrictJson } from '../../lambdas/identity/strict-json.ts'
import { parseSpiffeId, SpiffeIdError } from '../../spiffe/id.ts'
import { attempt, type FuzzTarget, promise } from './target.ts'

const utf8 = (input: Uint8Array) => Buffer.from(input).toString('utf8')
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const samples = (first: string, ...more: readonly string[]): [Uint8Array, ...Uint8Array[]] => [
  Buffer.from(first),
  ...more.map((text) => Buffer.from(text)),
]

function checkHost(input: Uint8Array): void {
  const text = utf8(input)
  const host = parseHost(text)
  if (host.ok) {
    const again = parseHost(host.host.includes(':') ? `[${host.host}]` : host.host)
    promise(again.ok && again.host === host.host && again.kind === host.kind, 'the one spelling has another')
    promise(/^[a-z0-9.:-]+$/.test(host.host), 'a host with another character')
  } else promise(!/[^ -~]/.test(host.message), 'a message that is not plain')
  const withPort = parseHostPort(text)
  if (withPort.ok) promise(withPort.port >= 1 && withPort.port <= 65_535, 'a port that is none')
}

function checkPlaintext(input: Uint8Array): void {
  const text = describePlaintext(input)
  promise(
    text === null ? input.length === 0 : /^[\x20-\x7e]{1,300}…?"$/.test(text),
    'bytes shown as they came',
  )
}

export const TEXT_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'plaintext',
    samples: samples(
      'SSH-2.0-OpenSSH_9.2\r\n',
      '220 mail.example ESMTP\r\n',
      'J\0\0\0\n8.0.36\0',
      'E\0\0\0\x8dSFATAL\0',
      '0$\x02\x01\0x',
      'HTTP/1.1 400 Bad Request\r\n',
    ),
    check: checkPlaintext,
  },
  {
    name: 'host',
    samples: samples(
      'api.bank.example',
      '[2001:db8::1]:443',
      '10.0.0.1:5432',
      'xn--bcher-kva.example.',
      'bücher.de',
    ),
    check: checkHost,
  },
  {
    name: 'spiffe-id',
    samples: samples(
      'spiffe://example.org/payments/api',
      'spiffe://cluster.local/ns/a/sa/b',
      'spiffe://example.org',
    ),
    check: (input) => {
      const text = utf8(input)
      const id = attempt(() => parseSpiffeId(text), SpiffeIdError)
      if (id !== null) promise(`spiffe://${id.trustDomain}${id.path}` === text, 'an ID of other parts')
    },
  },
  {
    name: 'token',
    samples: samples(
      `${part({ alg: 'RS256', kid: 'k1', typ: 'JWT' })}.${part({ iss: 'https://i.example', sub: 's', exp: 9 })}.c2ln`,
      `${part({ alg: 'ES256', kid: 'k2' })}.${part({ iss: 'https://i.example', aud: ['a', 'b'], iat: 1 })}.c2ln`,
    ),
    check: (input) => {
      attempt(() => parseCompactToken(utf8(input)), ProofError)
    },
  },
  {
    name: 'strict-json',
    samples: samples(
      '{"a":[1,true,null,"\\u00e9"],"b":{"c":"x,y"},"d":{}}',
      '[[[[{"k":-1.5e3}]]]]',
      '"text"',
    ),
    check: (input) => {
      attempt(() => parseStrictJson(utf8(input)), JsonError)
    },
  },
]
