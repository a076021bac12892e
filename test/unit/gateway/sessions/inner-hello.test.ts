// The state machine behind the proof of the inner name: every outcome, over every way to cut the bytes.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  InnerHello,
  type InnerHelloOptions,
  MAX_PREAMBLE_BYTES,
  type ProofNext,
} from '../../../../gateway/sessions/inner-hello.ts'
import type { Preamble, PreambleStep } from '../../../../gateway/upstream/starttls/types.ts'
import {
  alpn,
  extension,
  hello,
  inRecords,
  name,
  record,
  serverName,
  supportedVersions,
} from '../../../fixtures/client-hello.ts'
import { knock } from '../../../fixtures/knock-protocol.ts'

const HOST = 'api.bank.example'
const ECH = extension(0xfe0d, Buffer.alloc(186))

const naming = (host: string, ...more: readonly Uint8Array[]) =>
  hello({ extensions: [serverName(name(host)), supportedVersions(0x0304), ...more] })
const NAMELESS = hello({ extensions: [supportedVersions(0x0304), alpn('h2')] })

type Wanted = Partial<InnerHelloOptions['destination']>

function machine(wanted: Wanted = {}, preamble: Preamble | null = null): InnerHello {
  const destination = { serverNames: [], nameProof: 'required', ech: 'ignore', ...wanted } as const
  return new InnerHello({ host: HOST, destination, preamble })
}

/** Gives the bytes in the pieces given, and the last word; what went up before it must be nothing. */
function feed(proof: InnerHello, bytes: Buffer, cuts: readonly number[] = []): ProofNext {
  let next: ProofNext = { kind: 'more' }
  let from = 0
  for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    if (to === from) continue
    const step = proof.fromClient(Buffer.from(bytes.subarray(from, to)))
    expect(step.toServer).toHaveLength(0)
    expect(step.toClient).toHaveLength(0)
    next = step.next
    from = to
    if (next.kind !== 'more') break
  }
  return next
}

const cuts = fc.array(fc.nat(4096), { maxLength: 12 })

const REFUSED: readonly (readonly [string, Wanted, Buffer, string, string | null])[] = [
  [
    'another name',
    {},
    record(naming('evil.example')),
    'name-mismatch',
    'the ClientHello names evil.example, and api.bank.example was asked for',
  ],
  ['a name below the host', {}, record(naming(`a.${HOST}`)), 'name-mismatch', null],
  ['a name that the host ends in', {}, record(naming('bank.example')), 'name-mismatch', null],
  [
    'a wrong name where none would do',
    { nameProof: 'whenPresent' },
    record(naming('evil.example')),
    'name-mismatch',
    null,
  ],
  [
    'a name that is not among serverNames',
    { serverNames: ['www.bank.example'] },
    record(naming('ww.bank.example')),
    'name-mismatch',
    null,
  ],
  ['no name', {}, record(NAMELESS), 'name-missing', 'api.bank.example was asked for'],
  ['no extensions at all', {}, record(hello({ extensions: null })), 'name-missing', null],
  [
    'no name though serverNames has some',
    { serverNames: ['www.bank.example'] },
    record(NAMELESS),
    'name-missing',
    null,
  ],
  [
    'an encrypted hello where the destination refuses it',
    { ech: 'refuse' },
    record(naming(HOST, ECH)),
    'request-ech',
    null,
  ],
  ['text', {}, Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'name-not-tls', null],
  [
    'text where no name would do',
    { nameProof: 'whenPresent' },
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    'name-not-tls',
    null,
  ],
  ['SSL 2.0', {}, Buffer.of(0x80, 0x2e, 1, 0, 2), 'name-not-tls', null],
  ['a record of no kind', {}, Buffer.of(0x1d, 3, 1, 0, 4), 'name-not-tls', null],
  ['a PROXY header', {}, Buffer.from('\r\n\r\n\0\r\nQUIT\n'), 'name-not-tls', null],
  ['an alert', {}, record(Buffer.of(2, 0), 21), 'name-hello-malformed', null],
  [
    'a ServerHello',
    {},
    record(Buffer.concat([Buffer.of(2), naming(HOST).subarray(1)])),
    'name-hello-malformed',
    null,
  ],
  [
    'two names',
    {},
    record(hello({ extensions: [serverName(name(HOST), name('b.example'))] })),
    'name-hello-malformed',
    null,
  ],
  ['a name with a NUL behind it', {}, record(naming(`${HOST}\0`)), 'name-hello-malformed', null],
  [
    'an address as name',
    { nameProof: 'whenPresent' },
    record(naming('127.0.0.1')),
    'name-hello-malformed',
    null,
  ],
  ['a message that is too long', {}, record(Buffer.of(1, 2, 0, 0)), 'name-hello-malformed', null],
]

describe('a ClientHello is refused', () => {
  test.each(REFUSED)('for %s, however it is cut', (_what, wanted, bytes, code, detail) => {
    fc.assert(
      fc.property(cuts, (at) => {
        const next = feed(machine(wanted), bytes, at)
        expect(next).toMatchObject({ kind: 'refused', code, ...(detail === null ? {} : { detail }) })
      }),
      { numRuns: 40 },
    )
  })
})

describe('a ClientHello is taken', () => {
  test.each<[string, Wanted, Buffer, string | null]>([
    ['with the host', {}, naming(HOST), HOST],
    ['with the host in capitals', {}, naming('API.Bank.Example'), HOST],
    [
      'with one of serverNames',
      { serverNames: ['a.example', 'b.example'] },
      naming('b.example'),
      'b.example',
    ],
    ['with the host beside serverNames', { serverNames: ['a.example'] }, naming(HOST), HOST],
    ['without a name where it need have none', { nameProof: 'whenPresent' }, NAMELESS, null],
    ['with the host where it need have no name', { nameProof: 'whenPresent' }, naming(HOST), HOST],
    ['that is encrypted, by its outer name', {}, naming(HOST, ECH), HOST],
    ['as a browser sends it', {}, hello(), HOST],
  ])(
    '%s, and every byte is held, however it is cut and in whatever records',
    (_what, wanted, message, expected) => {
      fc.assert(
        fc.property(
          cuts,
          fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 4 }),
          fc.uint8Array({ maxLength: 300 }),
          (at, sizes, after) => {
            const bytes = Buffer.concat([inRecords(message, sizes), after])
            const proof = machine(wanted)
            // The last piece holds all that is left, as when the rest comes in the same segment.
            const end = bytes.length - after.length
            const next = feed(
              proof,
              bytes,
              at.filter((cut) => cut < end),
            )
            expect(next).toEqual({ kind: 'proven', serverName: expected, held: bytes })
          },
        ),
        { numRuns: 60 },
      )
    },
  )

  test('that is not whole yet proves nothing', () => {
    const bytes = record(naming(HOST))
    expect(feed(machine(), bytes.subarray(0, -1))).toEqual({ kind: 'more' })
  })
})

describe('a server that speaks first', () => {
  test.each([
    ['before the client said anything', 0],
    ['in the middle of the ClientHello', 20],
  ])('is refused %s', (_when, length) => {
    const proof = machine()
    feed(proof, record(naming(HOST)).subarray(0, length))
    expect(proof.fromServer(Buffer.from('SSH-2.0-x\r\n'))).toMatchObject({
      toClient: Buffer.alloc(0),
      next: { kind: 'refused', code: 'request-server-first' },
    })
  })
})

/** Everything goes on at once, and the word `TLS` of the server turns to TLS. */
const careless = (): Preamble => ({
  fromClient: (bytes) => ({ toServer: bytes, toClient: Buffer.alloc(0), next: 'plain' }),
  fromServer: (bytes) => ({ toServer: Buffer.alloc(0), toClient: bytes, next: 'plain' }),
})

const WHOLE = record(naming(HOST))

describe('behind the preamble of a protocol', () => {
  test('whole messages pass both ways until the server agrees, and the proof is made on what follows', () => {
    const proof = machine({}, knock())
    const steps = [
      proof.fromServer(Buffer.from('hello\n')),
      proof.fromClient(Buffer.from('kno')),
      proof.fromClient(Buffer.from('ck\n')),
      proof.fromServer(Buffer.from('come in\n')),
    ]
    expect(
      steps.map(({ toServer, toClient, next }) => [String(toServer), String(toClient), next.kind]),
    ).toEqual([
      ['', 'hello\n', 'more'],
      ['', '', 'more'],
      ['knock\n', '', 'more'],
      ['', 'come in\n', 'more'],
    ])
    expect(feed(proof, WHOLE)).toEqual({ kind: 'proven', serverName: HOST, held: WHOLE })
  })

  test('a wrong name after the upgrade is refused like any other', () => {
    const proof = machine({}, knock())
    proof.fromClient(Buffer.from('knock\n'))
    proof.fromServer(Buffer.from('come in\n'))
    expect(feed(proof, record(naming('evil.example')))).toMatchObject({ code: 'name-mismatch' })
  })

  test('TLS from the first byte, where the protocol has it, is a ClientHello like any other', () => {
    fc.assert(
      fc.property(cuts, (at) => {
        const next = feed(machine({}, knock()), WHOLE, at)
        expect(next).toEqual({ kind: 'proven', serverName: HOST, held: WHOLE })
      }),
    )
    expect(feed(machine({}, knock()), record(naming('evil.example')))).toMatchObject({
      code: 'name-mismatch',
    })
  })

  test('what the protocol refuses has its code, and nothing of it passes', () => {
    const proof = machine({}, knock())
    expect(proof.fromClient(Buffer.from('select 1\n'))).toEqual({
      toServer: Buffer.alloc(0),
      toClient: Buffer.alloc(0),
      next: { kind: 'refused', code: 'request-start-tls', detail: 'no knock' },
    })
  })

  test('a server that speaks between its agreement and the ClientHello is refused', () => {
    const proof = machine({}, knock())
    proof.fromClient(Buffer.from('knock\n'))
    proof.fromServer(Buffer.from('come in\n'))
    expect(proof.fromServer(Buffer.from('x'))).toMatchObject({ next: { code: 'request-server-first' } })
  })

  test('bytes of the client that the server agrees upon too late are refused, whatever the protocol thinks', () => {
    const turn: PreambleStep = { toServer: Buffer.alloc(0), toClient: Buffer.from('ok'), next: 'tls' }
    const proof = machine(
      {},
      {
        fromClient: () => ({ toServer: Buffer.alloc(0), toClient: Buffer.alloc(0), next: 'plain' }),
        fromServer: () => turn,
      },
    )
    proof.fromClient(Buffer.from('smuggled'))
    expect(proof.fromServer(Buffer.from('ok'))).toMatchObject({
      toClient: Buffer.alloc(0),
      next: { kind: 'refused', code: 'request-start-tls' },
    })
  })

  test.each(['fromClient', 'fromServer'] as const)('plain text without end is cut off: %s', (from) => {
    const proof = machine({}, careless())
    const chunk = Buffer.alloc(1024)
    for (let sent = 0; sent < MAX_PREAMBLE_BYTES; sent += chunk.length) {
      expect(proof[from](chunk).next).toEqual({ kind: 'more' })
    }
    expect(proof[from](Buffer.of(1)).next).toMatchObject({ kind: 'refused', code: 'request-start-tls' })
  })
})
