import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { CheckpointTrust } from '../../../../cli/audit/checkpoint.ts'
import { readLines } from '../../../../cli/audit/lines.ts'
import { Verifier, type VerifyReport } from '../../../../cli/audit/verifier.ts'
import { hashOf } from '../../../../gateway/audit/chain.ts'
import { lastEventOf } from '../../../../gateway/audit/last-event.ts'
import { openedEvent } from '../../../../gateway/audit/record.ts'
import { toLine } from '../../../../gateway/audit/text.ts'
import type { KeyPair } from '../../../../gateway/config/types.ts'
import { attempt } from '../../../fixtures/audit-facts.ts'
import {
  createSigningWorld,
  type SignedLog,
  type SigningWorld,
  startSignedLog,
} from '../../../fixtures/signed-log.ts'

let world: SigningWorld
let identity: KeyPair
let trust: CheckpointTrust

beforeAll(async () => {
  world = await createSigningWorld()
  identity = await world.identity('/sallyport/gateway')
  trust = { bundle: world.bundle, gatewayId: 'spiffe://example.org/sallyport/gateway' }
})

interface Given {
  readonly files: Readonly<Record<string, string | Buffer>>
  readonly second?: readonly string[]
  readonly trust?: CheckpointTrust | null
  readonly partial?: boolean
}

async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
}

async function verify(given: Given): Promise<VerifyReport> {
  const verifier = new Verifier({
    trust: given.trust === undefined ? trust : given.trust,
    partial: given.partial ?? false,
  })
  const kept = Buffer.from((given.second ?? []).map((line) => `${line}\n`).join(''))
  for await (const line of readLines(chunks(kept))) await verifier.checkpoint('second', line)
  for (const [file, text] of Object.entries(given.files)) {
    for await (const line of readLines(chunks(Buffer.from(text)))) await verifier.line(file, line)
  }
  return verifier.finish()
}

const textOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')
const kinds = ({ problems }: VerifyReport) =>
  problems.map(({ kind, file, line }) => `${kind} ${file}:${line}`)

/** Ten records, a checkpoint, four records, the last checkpoint. */
function whole(): SignedLog {
  const log = startSignedLog(() => identity)
  log.sessions(5)
  log.checkpoint()
  log.sessions(2)
  log.checkpoint(true)
  return log
}
/** As who has the log alone would: so many records more, each chained to the one before. */
function forgeBehind(lines: readonly string[], count: number): readonly string[] {
  const all = [...lines]
  for (let at = 0; at < count; at += 1) {
    const last = all.at(-1) ?? ''
    const { chain, sequence } = JSON.parse(last) as { chain: string; sequence: number }
    const link = { chain, sequence: sequence + 1, previous: hashOf(last) }
    all.push(toLine(openedEvent(attempt(), link, { config: 'sha256:1', policy: 'sha256:2' })))
  }
  return all
}

const secondOf = ({ checkpoints }: SignedLog) => checkpoints.map(({ line }) => line)

describe('a whole log', () => {
  test('has no problem, and its checkpoints are the gateway’s', async () => {
    const log = whole()
    const report = await verify({ files: { a: textOf(log.lines) }, second: secondOf(log) })
    expect(report).toMatchObject({ ok: true, records: 16, problems: [], notes: [] })
    expect(report.chains).toEqual([
      { chain: log.checkpoints[0]?.chain, first: 1, last: 16, checkpoints: 2, signedUpTo: 16, ended: true },
    ])
  })

  test('in several files in any order, with several chains interleaved and other lines between', async () => {
    const [one, other] = [whole(), whole()]
    const mixed = one.lines.flatMap((line, at) => [
      line,
      '{"event":"ready"}',
      other.lines[at] ?? '',
      '{"level":30,"time":"2026-08-01T10:00:00.000Z","msg":"x"}',
      '{"_aws":{"Timestamp":1},"x":1}',
    ])
    const [first, second] = [textOf(mixed.slice(0, 33)), textOf(mixed.slice(33))]
    const report = await verify({ files: { second, first }, second: [...secondOf(other), ...secondOf(one)] })
    expect(report).toMatchObject({ ok: true, records: 32, problems: [], notes: [] })
  })

  test('without a closing checkpoint is whole, and says so', async () => {
    const log = startSignedLog(() => identity)
    log.sessions(3)
    log.checkpoint()
    log.sessions(1)
    const report = await verify({ files: { a: textOf(log.lines) }, second: secondOf(log) })
    expect(report).toMatchObject({ ok: true, chains: [{ last: 9, signedUpTo: 7, ended: false }] })
    expect(report.notes.join()).toMatch(/no closing checkpoint at record 9.*records 8 to 9 are behind/)
  })

  test('that goes on after a restart names the chain before, which must end there', async () => {
    const before = whole()
    const after = lastEventOf(Buffer.from(textOf(before.lines)))
    const log = startSignedLog(() => identity, { after })
    log.sessions(1)
    log.checkpoint(true)
    expect(await verify({ files: { a: textOf([...before.lines, ...log.lines]) } })).toMatchObject({
      ok: true,
    })
    const cut = await verify({ files: { a: textOf([...before.lines.slice(0, -2), ...log.lines]) } })
    expect(kinds(cut)).toEqual(['truncated null:null'])
    expect(cut.problems[0]).toMatchObject({ sequence: 16, chain: before.checkpoints[0]?.chain })
    const gone = await verify({ files: { a: textOf(log.lines) } })
    expect(gone).toMatchObject({ ok: true, notes: [expect.stringContaining('is not here')] })
  })
})

describe('what was done to a log is found, with its place', () => {
  const tampering: Record<string, readonly [(lines: string[]) => string[], string[]]> = {
    'a changed record': [
      (lines) => lines.with(3, (lines[3] ?? '').replace('10.0.1.7', '10.0.1.8')),
      ['changed a:4'],
    ],
    'white space in a record': [(lines) => lines.with(3, `${lines[3]} `), ['changed a:4']],
    'a removed record': [(lines) => lines.toSpliced(3, 1), ['missing a:4']],
    'the first removed': [(lines) => lines.slice(1), ['missing a:1']],
    'exchanged records': [
      (lines) => lines.toSpliced(3, 2, lines[4] ?? '', lines[3] ?? ''),
      ['reordered a:5'],
    ],
    'a repeated record': [(lines) => lines.toSpliced(3, 0, lines[3] ?? ''), ['repeated a:5']],
    'a repeated beginning at the end': [(lines) => [...lines, ...lines.slice(0, 3)], ['repeated a:17']],
    'what is no record': [(lines) => lines.toSpliced(3, 0, 'hello'), ['unreadable a:4']],
    'an event of a kind that there is not': [
      (lines) => lines.toSpliced(3, 0, '{"event":"session.closed","chain":"x","sequence":4}'),
      ['unreadable a:4'],
    ],
    'a record dressed as a start line': [
      (lines) => lines.with(3, (lines[3] ?? '').replace('"session"', '"ready"')),
      ['unreadable a:4', 'missing a:5'],
    ],
    'the last record cut off': [(lines) => lines.slice(0, -1), ['truncated null:null']],
    'half of it cut off': [(lines) => lines.slice(0, 9), ['truncated null:null']],
    'all of it cut off': [() => [], ['truncated null:null']],
  }
  test.each(Object.entries(tampering))('%s', async (_, [tamper, expected]) => {
    const log = whole()
    const report = await verify({ files: { a: textOf(tamper([...log.lines])) }, second: secondOf(log) })
    expect(kinds(report)).toEqual(expected)
    expect(report.ok).toBe(false)
  })

  test('a record changed where the next one stands in another file', async () => {
    const { lines } = whole()
    const changed = lines.with(4, (lines[4] ?? '').replace('10.0.1.7', '10.0.1.8'))
    const files = { b: textOf(changed.slice(5)), a: textOf(changed.slice(0, 5)) }
    expect(kinds(await verify({ files }))).toEqual(['changed a:5'])
  })

  test('a signature in a second form, of the same bytes', async () => {
    const { lines } = whole()
    const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = lines.at(-1) ?? ''
    // 64 bytes end in a character of which four bits are spare.
    const at = last.length - 3
    const other = BASE64URL[BASE64URL.indexOf(last[at] ?? '') ^ 1]
    const second = `${last.slice(0, at)}${other}${last.slice(at + 1)}`
    const signature = (line: string) => Buffer.from(JSON.parse(line).jws.split('.')[2], 'base64url')
    expect(signature(second)).toEqual(signature(last))
    expect(kinds(await verify({ files: { a: textOf([...lines.slice(0, -1), second]) } }))).toEqual([
      'signature a:16',
    ])
  })

  test('a line that ends without line end', async () => {
    const log = whole()
    const report = await verify({ files: { a: textOf(log.lines).slice(0, -1) } })
    expect(kinds(report)).toEqual(['torn a:16'])
  })

  test('a line longer than any record', async () => {
    const log = whole()
    const long = `{"event":"session","x":"${'x'.repeat(300_000)}"}`
    const report = await verify({ files: { a: textOf([...log.lines, long]) } })
    expect(kinds(report)).toEqual(['unreadable a:17'])
  })

  test('a rewritten end that is chained anew, by what the second sink says of it', async () => {
    // With the same chain id and the gateway's own key: as bad as it gets.
    const random = (size: number) => new Uint8Array(size).fill(7)
    const log = startSignedLog(() => identity, { random })
    log.sessions(2)
    log.checkpoint()
    log.sessions(2)
    log.checkpoint(true)
    const forged = startSignedLog(() => identity, { random })
    forged.sessions(1)
    forged.log.opened(attempt({ workload: 'spiffe://example.org/somebody/else' }))
    forged.sessions(4)
    forged.checkpoint(true)
    expect((await verify({ files: { a: textOf(forged.lines) } })).ok).toBe(true)
    const report = await verify({ files: { a: textOf(forged.lines) }, second: secondOf(log) })
    expect(kinds(report)).toContain('contradicted a:4')
  })

  test('an end behind the last checkpoint that is chained anew, with more behind it, by what the next chain says', async () => {
    const random = (size: number) => new Uint8Array(size).fill(7)
    const killed = startSignedLog(() => identity, { random })
    killed.sessions(2)
    killed.checkpoint()
    killed.sessions(2)
    const after = lastEventOf(Buffer.from(textOf(killed.lines)))
    const next = startSignedLog(() => identity, { after })
    next.sessions(1)
    next.checkpoint(true)
    expect((await verify({ files: { a: textOf([...killed.lines, ...next.lines]) } })).ok).toBe(true)
    const lines = forgeBehind(killed.lines.slice(0, 5), 5)
    const report = await verify({ files: { b: textOf(next.lines), a: textOf(lines) } })
    expect(kinds(report)).toEqual(['contradicted null:null'])
    expect(report.problems[0]).toMatchObject({ sequence: 9, chain: killed.checkpoints[0]?.chain })
  })

  test('a record behind the one that says it is the last', async () => {
    const log = whole()
    log.sessions(1)
    const report = await verify({ files: { a: textOf(log.lines) } })
    expect(report.problems).toMatchObject([{ kind: 'after-the-end', sequence: 17 }])
  })

  test('a part of a chain is a problem, unless a part is what is meant', async () => {
    const log = whole()
    const files = { a: textOf(log.lines.slice(4, 13)) }
    const second = secondOf(log)
    expect(kinds(await verify({ files, second }))).toEqual(['missing a:1', 'truncated null:null'])
    expect(await verify({ files, second, partial: true })).toMatchObject({ ok: true, problems: [] })
  })

  test('lines that the gateway itself lost are told apart by its own word', async () => {
    const log = startSignedLog(() => identity)
    log.sessions(2)
    log.sink.current = { failure: null, backlogBytes: 1e9, oldestWaitMs: 0, dropped: 0 }
    log.sessions(1)
    log.sink.current = { failure: null, backlogBytes: 0, oldestWaitMs: 0, dropped: 2 }
    log.sessions(1)
    log.checkpoint(true)
    const report = await verify({ files: { a: textOf(log.lines) } })
    expect(kinds(report)).toEqual(['missing a:5'])
    expect(report.notes.join()).toContain('it lost 2 lines')
  })
})

describe('whose checkpoints count', () => {
  const HOUR = 3_600_000
  async function signedBy(keyPair: KeyPair, now = () => new Date()) {
    const log = startSignedLog(() => keyPair, { now })
    log.sessions(1)
    log.checkpoint(true)
    return verify({ files: { a: textOf(log.lines) } })
  }

  test('another workload of the trust domain is not the gateway', async () => {
    const report = await signedBy(await world.identity('/payments/api'))
    expect(kinds(report)).toEqual(['signature a:3'])
    expect(report.problems[0]?.message).toContain('signed by spiffe://example.org/payments/api')
    expect(report.chains[0]).toMatchObject({ checkpoints: 0, signedUpTo: 0, ended: false })
  })

  test('a gateway of other roots is a stranger', async () => {
    const stranger = await createSigningWorld()
    expect(kinds(await signedBy(await stranger.identity('/sallyport/gateway')))).toEqual(['signature a:3'])
  })

  test('a certificate counts at the time of the checkpoint, whether it has expired since or not', async () => {
    const old = await world.identity('/sallyport/gateway', {
      notBefore: new Date(Date.now() - HOUR / 2),
      notAfter: new Date(Date.now() - 60_000),
    })
    expect(kinds(await signedBy(old))).toEqual(['signature a:3'])
    const then = () => new Date(Date.now() - HOUR / 4)
    expect(kinds(await signedBy(old, then))).toEqual([])
  })

  test.each(['P-384', 'RSA-2048'] as const)('a key of %s signs too', async (key) => {
    expect(kinds(await signedBy(await world.identity('/sallyport/gateway', { key })))).toEqual([])
  })

  test('one from the second sink that does not hold counts for nothing, and is told', async () => {
    const log = whole()
    const [first = '', ...rest] = secondOf(log)
    const broken = first.replace(/"sequence":\d+/, '"sequence":99')
    const report = await verify({ files: { a: textOf(log.lines) }, second: [broken, ...rest] })
    expect(kinds(report)).toEqual(['signature second:1'])
  })
})

describe('any single change is found', () => {
  const mutation = fc.oneof(
    fc.record({ do: fc.constant('remove' as const), at: fc.nat() }),
    fc.record({ do: fc.constant('repeat' as const), at: fc.nat() }),
    fc.record({ do: fc.constant('swap' as const), at: fc.nat(), with: fc.nat() }),
    fc.record({ do: fc.constant('truncate' as const), bytes: fc.nat() }),
    fc.record({ do: fc.constant('byte' as const), at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) }),
  )
  type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never

  /** Null where it changes nothing. */
  function mutate(lines: readonly string[], change: Mutation): Buffer | null {
    const text = Buffer.from(textOf(lines))
    if (change.do === 'truncate') return text.subarray(0, change.bytes % text.length)
    if (change.do === 'byte') {
      const at = change.at % text.length
      if (text[at] === change.to) return null
      const changed = Buffer.from(text)
      changed[at] = change.to
      return changed
    }
    const at = change.at % lines.length
    const line = lines[at] ?? ''
    if (change.do === 'remove') return Buffer.from(textOf(lines.toSpliced(at, 1)))
    if (change.do === 'repeat') return Buffer.from(textOf(lines.toSpliced(at, 0, line)))
    const other = change.with % lines.length
    if (other === at) return null
    return Buffer.from(textOf(lines.with(at, lines[other] ?? '').with(other, line)))
  }

  test('with the second sink’s checkpoints', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ sessions: fc.integer({ min: 1, max: 4 }), checkpoint: fc.boolean() }), {
          minLength: 1,
          maxLength: 4,
        }),
        mutation,
        async (steps, change) => {
          const log = startSignedLog(() => identity)
          for (const { sessions, checkpoint } of steps) {
            log.sessions(sessions)
            if (checkpoint) log.checkpoint()
          }
          log.checkpoint(true)
          const text = mutate(log.lines, change)
          if (text === null) return
          const report = await verify({ files: { a: text }, second: secondOf(log) })
          expect(report.ok).toBe(false)
        },
      ),
      { numRuns: 400 },
    )
  })

  test('every byte of a checkpoint, without a second sink', async () => {
    const log = startSignedLog(() => identity)
    log.sessions(1)
    log.checkpoint(true)
    const text = Buffer.from(textOf(log.lines))
    const from = Buffer.byteLength(textOf(log.lines.slice(0, -1)))
    for (let at = from; at < text.length; at += 7) {
      const changed = Buffer.from(text)
      changed[at] = (text[at] ?? 0) ^ 1
      expect((await verify({ files: { a: changed } })).ok, `byte ${at}`).toBe(false)
    }
  })
})
