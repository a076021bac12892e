// Verifies audit logs: reads them line by line, keeps of each chain only where its pieces begin and end, and compares with
// what checkpoints say, those in the log and those that a second sink kept. What it can and cannot find is in docs/audit.md.
import { hashOf } from '../../gateway/audit/chain.ts'
import type { CheckpointClaims } from '../../gateway/audit/checkpoint.ts'
import {
  type Chain,
  changed,
  joinPieces,
  newChain,
  noteSigned,
  noteUnsigned,
  type Place,
  type Problem,
} from './chains.ts'
import { CheckpointError, type CheckpointTrust, verifyCheckpoint } from './checkpoint.ts'
import { type Linked, readLine } from './event.ts'
import type { Line } from './lines.ts'

export interface VerifierOptions {
  /** Null = signatures are checked by the certificate that they bring, and nothing is known of whose it is. */
  readonly trust: CheckpointTrust | null
  /** Chains may begin before the logs do and end behind them. */
  readonly partial: boolean
}

export interface ChainReport {
  readonly chain: string
  readonly first: number
  readonly last: number
  readonly checkpoints: number
  readonly signedUpTo: number
  /** It ends with a checkpoint that says so. */
  readonly ended: boolean
}

export interface VerifyReport {
  readonly ok: boolean
  readonly records: number
  readonly chains: readonly ChainReport[]
  readonly problems: readonly Problem[]
  /** Nothing is wrong with the log for these. */
  readonly notes: readonly string[]
  /** Beyond those in `problems`. */
  readonly moreProblems: number
}

/** What the second sink kept, by what is expected of the log for it. */
interface Expected {
  readonly place: Place
  readonly sequence: number
  readonly hash: string
  met: boolean
}

const MAX_PROBLEMS = 1000

export class Verifier {
  readonly #options: VerifierOptions
  readonly #chains = new Map<string, Chain>()
  readonly #expected = new Map<string, Map<number, Expected[]>>()
  readonly #problems: Problem[] = []
  #more = 0
  #records = 0

  constructor(options: VerifierOptions) {
    this.#options = options
  }

  /** A line of what the second sink kept. All of these come before the first `line`. */
  async checkpoint(file: string, line: Line): Promise<void> {
    const place = { file, line: line.number }
    const read = line.bytes === null ? null : readLine(line.bytes)
    if (line.bytes === null || read?.kind !== 'event' || read.link.event !== 'checkpoint') {
      return this.#report({ ...place, kind: 'unreadable', message: 'no checkpoint' })
    }
    const { chain, sequence } = read.link
    const claims = await this.#claims(line.bytes, place, read.link)
    if (claims === null) return
    this.#expect(chain, { place, sequence: claims.sequence, hash: claims.hash, met: false })
    this.#expect(chain, { place, sequence, hash: hashOf(line.bytes), met: false })
  }

  /** A line of a log. */
  async line(file: string, { number, bytes, ended }: Line): Promise<void> {
    const place = { file, line: number }
    if (!ended) this.#report({ ...place, kind: 'torn', message: 'the file ends within this line' })
    if (bytes === null)
      return this.#report({ ...place, kind: 'unreadable', message: 'too long for a record' })
    const read = readLine(bytes)
    if (read.kind === 'unreadable') this.#report({ ...place, kind: 'unreadable', message: read.why })
    if (read.kind !== 'event') return
    this.#records += 1
    const { link } = read
    const hash = hashOf(bytes)
    const chain = this.#chains.get(link.chain) ?? newChain(link.chain)
    this.#chains.set(link.chain, chain)
    this.#follow(chain, link, hash, place)
    noteUnsigned(chain, link.sequence, hash)
    this.#compare(link, hash, place)
    if (link.event !== 'checkpoint') return
    const claims = await this.#claims(bytes, place, link)
    if (claims !== null) noteClaims(chain, claims)
  }

  /** When all lines were read. */
  finish(): VerifyReport {
    const notes: string[] = []
    const ends = new Map<string, { readonly sequence: number; readonly hash: string }>()
    const chains: ChainReport[] = []
    for (const chain of this.#chains.values()) {
      const { problems, first, last } = joinPieces(chain, this.#options.partial)
      for (const problem of problems) this.#report(problem)
      ends.set(chain.id, last)
      const { checkpoints, signedUpTo, final } = chain
      const ended = final === last.sequence
      chains.push({ chain: chain.id, first, last: last.sequence, checkpoints, signedUpTo, ended })
      this.#judgeEnd(chain, last.sequence, notes)
    }
    for (const chain of this.#chains.values()) this.#judgeBefore(chain, ends, notes)
    this.#judgeExpected(ends, notes)
    const problems = this.#problems
    return {
      ok: problems.length === 0,
      records: this.#records,
      chains,
      problems,
      notes,
      moreProblems: this.#more,
    }
  }

  #follow(chain: Chain, { sequence, previous }: Linked, hash: string, { file, line }: Place): void {
    const piece = chain.pieces.at(-1)
    if (piece === undefined || piece.file !== file || piece.last.sequence + 1 !== sequence) {
      const first = { sequence, previous, line }
      chain.pieces.push({ file, first, last: { sequence, hash, line } })
      return
    }
    if (previous !== piece.last.hash)
      this.#report(changed(chain.id, { file, line: piece.last.line }, sequence - 1))
    piece.last = { sequence, hash, line }
  }

  async #claims(bytes: Uint8Array, place: Place, link: Linked): Promise<CheckpointClaims | null> {
    try {
      return await verifyCheckpoint(Buffer.from(bytes).toString('utf8'), this.#options.trust)
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error
      const { chain, sequence } = link
      this.#report({ ...place, kind: 'signature', chain, sequence, message: `checkpoint: ${error.message}` })
      return null
    }
  }

  #expect(chain: string, expected: Expected): void {
    const of = this.#expected.get(chain) ?? new Map<number, Expected[]>()
    this.#expected.set(chain, of)
    of.set(expected.sequence, [...(of.get(expected.sequence) ?? []), expected])
  }

  #compare({ chain, sequence }: Linked, hash: string, place: Place): void {
    for (const expected of this.#expected.get(chain)?.get(sequence) ?? []) {
      expected.met = true
      if (expected.hash === hash) continue
      const { file, line } = expected.place
      const message = `not the record that the second sink’s checkpoint speaks of (${file}:${line})`
      this.#report({ ...place, kind: 'contradicted', chain, sequence, message })
    }
  }

  #judgeEnd(chain: Chain, last: number, notes: string[]): void {
    const { id, final, dropped, signedUpTo, checkpoints } = chain
    if (final !== null && final < last) {
      const message = `the chain goes on behind record ${final}, which says that it is the last`
      this.#report({ kind: 'after-the-end', chain: id, sequence: final + 1, message })
    }
    if (dropped > 0) notes.push(`chain ${id}: the gateway says that it lost ${dropped} lines`)
    if (final === null) {
      notes.push(
        `chain ${id}: no closing checkpoint at record ${last}: the gateway still runs, was killed, or its end was cut off`,
      )
    }
    if (signedUpTo < last && final === null) {
      notes.push(
        checkpoints === 0
          ? `chain ${id}: no checkpoint, so that nobody has signed any of it`
          : `chain ${id}: records ${signedUpTo + 1} to ${last} are behind the last checkpoint`,
      )
    }
  }

  /** What a chain says of the one that stood in the file before it. */
  #judgeBefore({ id, after }: Chain, ends: ReadonlyMap<string, Ended>, notes: string[]): void {
    if (after === null) return
    const end = ends.get(after.chain)
    const said = `chain ${id} says that it follows record ${after.sequence} of this one`
    const at = { chain: after.chain, sequence: after.sequence }
    // Also of a record before the end: whoever rewrites an end can write more behind it. What was signed since is safe.
    const hashAt = (sequence: number) =>
      end?.sequence === sequence
        ? end.hash
        : (this.#chains.get(after.chain)?.unsigned.get(sequence) ?? after.hash)
    if (end === undefined) notes.push(`chain ${after.chain} is not here, though ${said}`)
    else if (end.sequence < after.sequence) {
      const message = `the chain ends at record ${end.sequence}, but ${said}`
      this.#report({ kind: 'truncated', ...at, message })
    } else if (hashAt(after.sequence) !== after.hash) {
      this.#report({ kind: 'contradicted', ...at, message: `${said}, with another hash` })
    }
  }

  #judgeExpected(ends: ReadonlyMap<string, Ended>, notes: string[]): void {
    for (const [chain, of] of this.#expected) {
      const end = ends.get(chain)?.sequence ?? 0
      const unmet = [...of.values()].flat().filter(({ met }) => !met)
      const highest = unmet.toSorted((a, b) => b.sequence - a.sequence)[0]
      // Within the chain it is missing, and said already.
      if (highest === undefined || highest.sequence <= end) continue
      const { file, line } = highest.place
      const upTo = `the second sink has a checkpoint of record ${highest.sequence} (${file}:${line})`
      const message = end === 0 ? `the whole chain is missing: ${upTo}` : `ends at record ${end}, but ${upTo}`
      if (this.#options.partial) notes.push(`chain ${chain}: ${message}`)
      else this.#report({ kind: 'truncated', chain, sequence: end + 1, message })
    }
  }

  #report(problem: Pick<Problem, 'kind' | 'message'> & Partial<Problem>): void {
    if (this.#problems.length >= MAX_PROBLEMS) this.#more += 1
    else this.#problems.push({ file: null, line: null, chain: null, sequence: null, ...problem })
  }
}

interface Ended {
  readonly sequence: number
  readonly hash: string
}

function noteClaims(chain: Chain, { sequence, final, dropped, after }: CheckpointClaims): void {
  chain.checkpoints += 1
  noteSigned(chain, sequence + 1)
  if (final) chain.final = sequence + 1
  chain.dropped = Math.max(chain.dropped, dropped)
  chain.after ??= after
}
