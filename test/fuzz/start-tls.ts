// The protocols of startTls before and right after TLS, other than PostgreSQL's. An input is a conversation: a record
// separator (0x1e) gives the word to the other side.
import { isDeepStrictEqual } from 'node:util'
import type { Translator } from '../../gateway/upstream/starttls/adapted-stream.ts'
import { ImapAdapter } from '../../gateway/upstream/starttls/imap/adapter.ts'
import { imapAscent, imapPreamble } from '../../gateway/upstream/starttls/imap.ts'
import { LdapAdapter } from '../../gateway/upstream/starttls/ldap/adapter.ts'
import { LdapPreamble } from '../../gateway/upstream/starttls/ldap/preamble.ts'
import { ldapAscent } from '../../gateway/upstream/starttls/ldap.ts'
import type { Ascent } from '../../gateway/upstream/starttls/machine.ts'
import { readGreeting } from '../../gateway/upstream/starttls/mysql/greeting.ts'
import { MysqlPreamble } from '../../gateway/upstream/starttls/mysql/preamble.ts'
import { MysqlTranslator } from '../../gateway/upstream/starttls/mysql/translator.ts'
import { mysqlAscent } from '../../gateway/upstream/starttls/mysql.ts'
import { pop3Adapter, pop3Ascent, pop3Preamble } from '../../gateway/upstream/starttls/pop3.ts'
import { smtpAdapter, smtpAscent, smtpPreamble } from '../../gateway/upstream/starttls/smtp.ts'
import type { Preamble } from '../../gateway/upstream/starttls/types.ts'
import { greetingPacket, loginPacket, okPacket, prefixOf, switchPacket } from '../fixtures/mysql.ts'
import { climb, type Heard, pass, translate } from '../fixtures/start-tls.ts'
import { CLIENT_FIRST, HONEST, type Said, type Scripted, UPWARD } from '../fixtures/start-tls-server.ts'
import type { Random } from './random.ts'
import { type FuzzTarget, promise, segments } from './target.ts'

const SEPARATOR = 0x1e
const MAX_TURNS = 40

interface Protocol {
  readonly ascent: () => Ascent<unknown>
  readonly preamble: () => Preamble
  readonly translator: () => Translator
  /** What of the client may go up before TLS. */
  readonly upward: RegExp
  readonly first: 'client' | 'server'
  /** A client's own way up, and what follows it inside TLS. */
  readonly client: readonly Said[]
}

const GREETING = readGreeting(greetingPacket())?.greeting
const DECLARED = prefixOf(loginPacket())

function mysqlTranslator(): Translator {
  if (GREETING === undefined) throw new Error('no greeting')
  const again = () => Promise.reject(new Error('not in a fuzz target'))
  return new MysqlTranslator({ greeting: GREETING, declared: DECLARED, learn: () => {}, again })
}

const PROTOCOLS: Readonly<Record<Scripted, Protocol>> = {
  smtp: {
    ascent: () => smtpAscent('[127.0.0.1]'),
    preamble: smtpPreamble,
    translator: () => smtpAdapter(['220 mx.test']),
    upward: /^(?:(?:EHLO|HELO) [^ \r\n]+\r\n|(?:STARTTLS[ \t]*|NOOP|RSET|QUIT)\r\n)*$/i,
    first: 'server',
    client: [null, 'EHLO x\r\n', 'STARTTLS\r\n'],
  },
  imap: {
    ascent: imapAscent,
    preamble: imapPreamble,
    translator: () => new ImapAdapter('* OK [CAPABILITY IMAP4rev1 STARTTLS] hi'),
    upward: /^(?:[A-Za-z0-9._-]{1,32} (?:CAPABILITY|NOOP|LOGOUT|STARTTLS)\r\n)*$/i,
    first: 'server',
    client: [null, 'sally2 STARTTLS\r\n'],
  },
  pop3: {
    ascent: pop3Ascent,
    preamble: pop3Preamble,
    translator: () => pop3Adapter(['+OK hi <1.2@mx.test>']),
    upward: /^(?:(?:CAPA|STLS|QUIT)\r\n)*$/i,
    first: 'server',
    client: [null, 'CAPA\r\n', 'STLS\r\n'],
  },
  ldap: {
    ascent: ldapAscent,
    preamble: () => new LdapPreamble(),
    translator: () => new LdapAdapter(),
    upward: /^(?:0[^]{9,63})*$/,
    first: 'client',
    client: [ldapAscent().opening],
  },
  mysql: {
    ascent: () => mysqlAscent(DECLARED),
    preamble: () => new MysqlPreamble(),
    translator: mysqlTranslator,
    upward: /^(?: [^]{35})?$/,
    first: 'server',
    client: [null, Buffer.concat([Buffer.from([32, 0, 0, 1]), DECLARED])],
  },
}

function turns(input: Uint8Array, first: 'client' | 'server'): Heard[] {
  const heard: Heard[] = []
  let side = first
  for (let start = 0; start <= input.length && heard.length < MAX_TURNS; ) {
    const found = input.indexOf(SEPARATOR, start)
    const end = found === -1 ? input.length : found
    heard.push([side, Buffer.from(input.subarray(start, end))])
    side = side === 'client' ? 'server' : 'client'
    start = end + 1
  }
  return heard
}

function cutTurns(heard: readonly Heard[], random: Random): Heard[] {
  return heard.flatMap(([side, bytes]) =>
    segments(bytes as Buffer, random).map((piece): Heard => [side, Buffer.from(piece)]),
  )
}

function check({ ascent, preamble, translator, upward, first }: Protocol, ours: RegExp) {
  return (input: Uint8Array, random: Random): void => {
    const heard = turns(input, first)
    const cut = cutTurns(heard, random)
    const said = (list: readonly Heard[]) =>
      list.filter(([side]) => side === 'server').map(([, bytes]) => bytes)
    const climbed = climb(ascent(), said(heard))
    promise(climbed.end !== 'tls' || ours.test(climbed.said), 'the gateway said something else')
    // A server that says too much at once may look as if it had waited; one that does not may be cut anywhere.
    promise(
      climbed.end !== 'tls' || isDeepStrictEqual(climb(ascent(), said(cut)), climbed),
      'segments make a difference',
    )
    const passed = pass(preamble(), heard)
    promise(upward.test(passed.toServer), 'something else went up before TLS')
    promise(upward.test(pass(preamble(), cut).toServer), 'something else went up before TLS')
    promise(passed.toServer.length <= 2048, 'more went up than ever should')
    const whole = translate(translator(), heard)
    promise(isDeepStrictEqual(translate(translator(), cut), whole), 'segments make a difference inside TLS')
  }
}

function conversation(
  client: readonly Said[],
  server: readonly Said[],
  first: 'client' | 'server',
): Uint8Array {
  const parts: Buffer[] = []
  const bytes = (said: Said | undefined) =>
    typeof said === 'string' ? Buffer.from(said) : (said ?? Buffer.alloc(0))
  const [one, two] = first === 'client' ? [client, server.slice(1)] : [server, client.slice(1)]
  for (let turn = 0; turn < Math.max(one.length, two.length); turn++) {
    parts.push(bytes(one[turn]), Buffer.from([SEPARATOR]), bytes(two[turn]), Buffer.from([SEPARATOR]))
  }
  return Buffer.concat(parts)
}

function target(name: Scripted): FuzzTarget {
  const protocol = PROTOCOLS[name]
  const { client, first } = protocol
  const inside = [...client, CLIENT_FIRST[name], 'more\r\n']
  const samples: [Uint8Array, ...Uint8Array[]] = [
    conversation(client, HONEST[name], first),
    conversation(inside, [...HONEST[name], 'word\r\n', 'more\r\n'], first),
  ]
  if (name === 'mysql') {
    const login = [null, loginPacket(), Buffer.from('2000000301', 'hex')]
    samples.push(
      conversation(login, [null, switchPacket(3, 'client_ed25519', 'n'.repeat(32)), okPacket(5)], first),
    )
  }
  return { name: `start-tls-${name}`, samples, check: check(protocol, UPWARD[name]) }
}

export const START_TLS_TARGETS: readonly FuzzTarget[] = (Object.keys(PROTOCOLS) as Scripted[]).map(target)
