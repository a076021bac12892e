// Chains put together from the pieces of them that stand in files, and what is wrong with them. A piece is a run of records
// that follow each other in one file; files may come in any order, but within a file a chain goes forward.
import { basename } from 'node:path'
import type { ChainEnd } from '../../gateway/audit/events.ts'

export type ProblemKind =
  | 'unreadable'
  | 'torn'
  | 'changed'
  | 'missing'
  | 'reordered'
  | 'repeated'
  | 'truncated'
  | 'signature'
  | 'contradicted'
  | 'after-the-end'

/** One thing that is wrong, and where it shows. */
export interface Problem {
  readonly kind: ProblemKind
  readonly file: string | null
  readonly line: number | null
  readonly chain: string | null
  readonly sequence: number | null
  readonly message: string
}

export interface Place {
  readonly file: string
  readonly line: number
}

export interface Piece {
  readonly file: string
  readonly first: { readonly sequence: number; readonly previous: string | null; readonly line: number }
  last: { sequence: number; hash: string; line: number }
}

/** What is known of a chain when all files were read. */
export interface Chain {
  readonly id: string
  /** In the order in which they were read. */
  readonly pieces: Piece[]
  checkpoints: number
  /** The last record that a checkpoint which holds speaks of; 0 = none. */
  signedUpTo: number
  /** The sequence of a checkpoint that says it is the last. */
  final: number | null
  /** Lines that the gateway says it lost. */
  dropped: number
  after: ChainEnd | null
  /** Hashes of records that no checkpoint has signed yet, by sequence: the first ones behind each. */
  readonly unsigned: Map<number, string>
}

export function newChain(id: string): Chain {
  return {
    ...{ id, pieces: [], checkpoints: 0, signedUpTo: 0, final: null, dropped: 0, after: null },
    unsigned: new Map(),
  }
}

/** More than a gateway writes between two checkpoints, and few enough for a log without any. */
const MAX_UNSIGNED = 100_000

export function noteUnsigned({ unsigned, signedUpTo }: Chain, sequence: number, hash: string): void {
  if (sequence > signedUpTo && unsigned.size < MAX_UNSIGNED) unsigned.set(sequence, hash)
}

/** Up to and with a checkpoint that holds. */
export function noteSigned(chain: Chain, sequence: number): void {
  chain.signedUpTo = Math.max(chain.signedUpTo, sequence)
  for (const one of chain.unsigned.keys()) if (one <= sequence) chain.unsigned.delete(one)
}

export interface Joined {
  readonly problems: readonly Problem[]
  readonly first: number
  readonly last: ChainEnd
}

/** `partial`: the chain may begin before the files do. */
export function joinPieces(chain: Chain, partial: boolean): Joined {
  const problems: Problem[] = []
  const report = (kind: ProblemKind, piece: Piece, message: string) => {
    const { sequence, line } = piece.first
    problems.push({ kind, file: piece.file, line, chain: chain.id, sequence, message })
  }
  findBackwards(chain.pieces, report)
  const [start, ...rest] = chain.pieces.toSorted((a, b) => a.first.sequence - b.first.sequence)
  if (start === undefined) throw new Error('a chain without a record')
  if (start.first.sequence > 1 && !partial) {
    report('missing', start, `${range(1, start.first.sequence - 1)} missing before this one`)
  }
  if (start.first.sequence === 1 && start.first.previous !== null) {
    report('changed', start, 'the first record of a chain names one before it')
  }
  let end = start
  for (const piece of rest) {
    const { sequence, previous } = piece.first
    const expected = end.last.sequence + 1
    if (sequence < expected) {
      const upTo = Math.min(piece.last.sequence, end.last.sequence)
      report('repeated', piece, `${range(sequence, upTo)} here a second time`)
    } else if (sequence > expected) {
      report('missing', piece, `${range(expected, sequence - 1)} missing before this one`)
    } else if (previous !== end.last.hash) {
      problems.push(changed(chain.id, { file: end.file, line: end.last.line }, end.last.sequence))
    }
    if (piece.last.sequence > end.last.sequence) end = piece
  }
  const { sequence, hash } = end.last
  return { problems, first: start.first.sequence, last: { chain: chain.id, sequence, hash } }
}

/** Either the record or what the next one says of it; nothing tells which. */
export function changed(chain: string, { file, line }: Place, sequence: number): Problem {
  const message = 'changed after it was written: the next record says another hash of it'
  return { kind: 'changed', file, line, chain, sequence, message }
}

/** Within a file a later piece of a chain has later records. */
function findBackwards(
  pieces: readonly Piece[],
  report: (kind: ProblemKind, piece: Piece, message: string) => void,
): void {
  const highest = new Map<string, Piece>()
  for (const piece of pieces) {
    const before = highest.get(piece.file)
    if (before !== undefined && piece.last.sequence < before.first.sequence) {
      const of = `${before.first.sequence} (${basename(before.file)}:${before.first.line})`
      report('reordered', piece, `stands behind record ${of}`)
    }
    if (before === undefined || piece.first.sequence > before.first.sequence) highest.set(piece.file, piece)
  }
}

function range(from: number, to: number): string {
  return from === to ? `record ${from} is` : `records ${from} to ${to} are`
}
