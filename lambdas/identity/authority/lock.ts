// A lock file: of two processes that want to change the CA document, one does. It holds a random token, so that each
// process can tell its own lock from another's. A lock whose process died goes stale, by the file system's own time:
// what hosts think of the time is not asked, and one from a future that clocks have left goes stale too.
import { createHash, randomBytes } from 'node:crypto'
import { link, open, rename, unlink } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../errno.ts'

/** A lock older than this is left from a process that died: a change takes well under a second. */
const LOCK_STALE_MS = 60_000
const TOKEN_LENGTH = 32

export interface HeldLock {
  /** By the file system, when it was taken. */
  readonly since: Date
  /** Whether it is held still: a process that was stopped for a minute may have lost it. */
  isOurs(): Promise<boolean>
}

/** What tells one lock file from another. */
export interface Identity {
  readonly inode: bigint
  readonly changedAt: bigint
  readonly token: string
}

interface Candidate extends Identity {
  readonly file: string
}

function besides(lock: string, word: string): string {
  return path.join(path.dirname(lock), `.${path.basename(lock)}.${word}.tmp`)
}

/** The lock file of that name; null where there is none. */
export async function readLock(file: string): Promise<Identity | null> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  try {
    const { ino: inode, mtimeNs: changedAt } = await handle.stat({ bigint: true })
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(TOKEN_LENGTH), 0, TOKEN_LENGTH, 0)
    return { inode, changedAt, token: buffer.toString('latin1', 0, bytesRead) }
  } finally {
    await handle.close()
  }
}

function isSame(one: Identity, other: Identity): boolean {
  return one.inode === other.inode && one.changedAt === other.changedAt && one.token === other.token
}

function isStale({ changedAt }: Identity, now: bigint): boolean {
  return Math.abs(Number(now - changedAt)) >= LOCK_STALE_MS * 1e6
}

/** The lock file whole, beside its place, so that it is there with its token or not at all. */
async function writeCandidate(lock: string): Promise<Candidate> {
  const token = randomBytes(TOKEN_LENGTH / 2).toString('hex')
  const file = besides(lock, token)
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(token)
    const { ino: inode, mtimeNs: changedAt } = await handle.stat({ bigint: true })
    return { file, token, inode, changedAt }
  } finally {
    await handle.close()
  }
}

/** Gives the file the lock's name, unless there is one. */
async function place(file: string, lock: string): Promise<boolean> {
  try {
    await link(file, lock)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Removes the lock where it is the one that is meant. */
export async function removeLock(lock: string, isMeant: (found: Identity) => boolean): Promise<void> {
  const found = await readLock(lock)
  if (found === null || !isMeant(found)) return
  const aside = besides(lock, randomBytes(TOKEN_LENGTH / 2).toString('hex'))
  // Moved before it is judged for good: an unlink would take whatever has that name by then.
  await rename(lock, aside).catch(() => undefined)
  const moved = await readLock(aside)
  if (moved !== null && !isMeant(moved)) await place(aside, lock)
  await unlink(aside).catch(() => undefined)
}

/** The file whose maker alone may remove that lock; the next one counts where the one before is left from the dead. */
export function claimOf(lock: string, stale: Identity, attempt: number): string {
  const name = createHash('sha256').update(`${stale.inode} ${stale.changedAt} ${stale.token}`).digest('hex')
  return besides(lock, `${name}.${attempt}`)
}

/**
 * The place of a stale lock. To move it away and look at it afterwards is not enough: while a living lock that was moved
 * by mistake is away, a third process takes its place. So one process may do it, for this very lock.
 */
async function takeOver(lock: string, stale: Identity, candidate: Candidate, attempt = 0): Promise<boolean> {
  const claim = claimOf(lock, stale, attempt)
  if (await place(candidate.file, claim)) {
    await removeLock(lock, (found) => isSame(found, stale))
    const taken = await place(candidate.file, lock)
    // Whoever makes the claim again finds that lock gone.
    await unlink(claim).catch(() => undefined)
    return taken
  }
  const other = await readLock(claim)
  if (other === null || !isStale(other, candidate.changedAt)) return false
  return takeOver(lock, stale, candidate, attempt + 1)
}

async function take(lock: string): Promise<Candidate | null> {
  const candidate = await writeCandidate(lock)
  try {
    if (await place(candidate.file, lock)) return candidate
    const found = await readLock(lock)
    const free =
      found === null
        ? await place(candidate.file, lock)
        : isStale(found, candidate.changedAt) && (await takeOver(lock, found, candidate))
    return free ? candidate : null
  } finally {
    await unlink(candidate.file).catch(() => undefined)
  }
}

/**
 * Runs `work` while holding the lock file.
 * @returns null where another process holds it: then that one does the work
 */
export async function withLock<T>(lock: string, work: (held: HeldLock) => Promise<T>): Promise<T | null> {
  const taken = await take(lock)
  if (taken === null) return null
  const isOurs = (found: Identity | null): boolean => found?.token === taken.token
  try {
    return await work({
      since: new Date(Number(taken.changedAt / 1_000_000n)),
      isOurs: async () => isOurs(await readLock(lock)),
    })
  } finally {
    await removeLock(lock, isOurs).catch(() => undefined)
  }
}
